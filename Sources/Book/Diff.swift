/// The difference between a block of a chapter and what it should be, as `diff -u` shows it.
enum Diff {
    /// The lines of the difference, of which a very long one shows its beginning.
    ///
    /// - Parameter firstLine: the line of the chapter in which `old` begins.
    static func unified(_ old: [String], _ new: [String], firstLine: Int) -> [String] {
        let head = zip(old, new).prefix { $0 == $1 }.count
        let tail = zip(old[head...].reversed(), new[head...].reversed()).prefix { $0 == $1 }.count
        let (left, right) = (
            Array(old[head..<old.count - tail]), Array(new[head..<new.count - tail])
        )
        let before = old[..<head].suffix(context).map { " " + $0 }
        let after = old[(old.count - tail)...].prefix(context).map { " " + $0 }
        let start = firstLine + head - before.count
        let around = before.count + after.count
        let mark = "@@ -\(start),\(left.count + around) +\(start),\(right.count + around) @@"
        return [mark] + before + short(changes(left, right)) + after
    }

    private static let context = 3
    private static let longest = 80

    private static func changes(_ old: [String], _ new: [String]) -> [String] {
        var lines: [String] = []
        var added: [String] = []
        let alignment = Alignment(old.count, new.count, matches: { old[$0] == new[$1] })
        for step in alignment.steps {
            switch step {
            case .keep(let index, _):
                lines += added + [" " + old[index]]
                added = []
            case .replace(let expected, let actual):
                lines.append("-" + old[expected])
                added.append("+" + new[actual])
            case .delete(let index), .wildcard(let index): lines.append("-" + old[index])
            case .insert(let index): added.append("+" + new[index])
            }
        }
        return lines + added
    }

    private static func short(_ lines: [String]) -> [String] {
        guard lines.count > longest else { return lines }
        return lines.prefix(longest) + ["  (and \(lines.count - longest) lines more)"]
    }
}
