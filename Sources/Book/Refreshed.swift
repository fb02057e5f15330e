/// Expected output brought up to date: what still holds is kept, with its wildcards.
enum Refreshed {
    /// The lines the book should show, given what it shows and what the command printed.
    static func lines(_ expected: [String], _ actual: [String]) -> [String] {
        if Wildcard.lines(expected, allow: actual) { return expected }
        let alignment = Alignment(
            expected.count, actual.count,
            isWildcard: { Wildcard.isAnyLines(expected[$0]) },
            matches: { Wildcard.line(expected[$0], allows: actual[$1]) },
            replacing: { merged(expected[$0], actual[$1]) == nil ? Alignment.unlike : 1 })
        return alignment.steps.compactMap { step in
            switch step {
            case .keep(let index, _), .wildcard(let index): expected[index]
            case .replace(let old, let new):
                merged(expected[old], actual[new]) ?? Transcript.quoted(actual[new])
            case .delete: nil
            case .insert(let index): Transcript.quoted(actual[index])
            }
        }
    }

    /// The new line with the wildcards of the old one, where the two are much alike.
    static func merged(_ expected: String, _ actual: String) -> String? {
        let (old, new) = (words(expected), words(actual))
        guard old.count * new.count <= longest else { return nil }
        let alignment = Alignment(
            old.count, new.count,
            isWildcard: { old[$0] == String(Wildcard.mark) }, matches: { old[$0] == new[$1] })
        var kept = 0
        let line = alignment.steps.map { step in
            switch step {
            case .keep(let index, _):
                kept += old[index].allSatisfy(\.isWhitespace) ? 0 : 1
                return old[index]
            case .wildcard(let index): return old[index]
            case .replace(_, let index), .insert(let index): return new[index]
            case .delete: return ""
            }
        }.joined()
        let fixed = old.filter { !$0.allSatisfy(\.isWhitespace) && $0 != String(Wildcard.mark) }
        let isAlike = kept * 2 >= fixed.count && kept > 0
        return isAlike && Wildcard.line(line, allows: actual) ? Transcript.quoted(line) : nil
    }

    private static let longest = 10_000

    /// Runs of letters and digits, and every other character by itself.
    private static func words(_ line: String) -> [String] {
        var words: [String] = []
        var isInWord = false
        for scalar in line.unicodeScalars {
            let belongs = scalar.properties.isAlphabetic || scalar.properties.numericType != nil
            if belongs && isInWord {
                words[words.count - 1].unicodeScalars.append(scalar)
            } else {
                words.append(String(scalar))
            }
            isInWord = belongs
        }
        return words
    }
}
