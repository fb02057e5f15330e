/// `…`, which stands for what differs from one run to the next.
///
/// Inside of a line it stands for any run of characters, also for none. A line that
/// holds nothing else stands for any number of lines, also for none.
enum Wildcard {
    static let mark: Unicode.Scalar = "…"

    /// Whether a line of the book allows a line of output.
    static func line(_ expected: String, allows actual: String) -> Bool {
        guard expected.unicodeScalars.contains(mark) else { return expected == actual }
        return glob(
            Array(expected.unicodeScalars), Array(actual.unicodeScalars),
            isAny: { $0 == mark }, matches: ==)
    }

    /// Whether the lines of the book allow all the lines of output.
    static func lines(_ expected: [String], allow actual: [String]) -> Bool {
        glob(expected, actual, isAny: isAnyLines, matches: line)
    }

    /// Whether a line of the book stands for any number of lines.
    static func isAnyLines(_ line: String) -> Bool { line == String(mark) }

    /// The usual matching of file names, over elements of any kind.
    ///
    /// Only the last wildcard ever has to take more: what an earlier one could take,
    /// the last one can take as well.
    private static func glob<Pattern, Element>(
        _ pattern: [Pattern], _ elements: [Element],
        isAny: (Pattern) -> Bool, matches: (Pattern, Element) -> Bool
    ) -> Bool {
        var (position, index) = (0, 0)
        var last: (position: Int, index: Int)?
        while index < elements.count {
            if position < pattern.count, isAny(pattern[position]) {
                last = (position, index)
                position += 1
            } else if position < pattern.count, matches(pattern[position], elements[index]) {
                position += 1
                index += 1
            } else if let wildcard = last {
                last = (wildcard.position, wildcard.index + 1)
                (position, index) = (wildcard.position + 1, wildcard.index + 1)
            } else {
                return false
            }
        }
        return pattern[position...].allSatisfy(isAny)
    }
}
