/// Rows of text with their columns under each other.
public enum Table {
    /// `rows` as lines, each column as wide as its widest cell, two spaces between them.
    ///
    /// A line ends after its last cell, without trailing spaces.
    public static func aligned(_ rows: [[String]]) -> String {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { column < $0.count - 1 ? width(of: $0[column]) : 0 }.max() ?? 0
        }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                let isLast = column == row.count - 1
                return isLast
                    ? cell
                    : cell + String(repeating: " ", count: widths[column] - width(of: cell))
            }
            return cells.joined(separator: "  ") + "\n"
        }.joined()
    }

    /// How many columns of the screen a text takes: colour takes none.
    static func width(of text: String) -> Int {
        var width = 0
        var inEscape = false
        for character in text {
            if character == "\u{1B}" { inEscape = true }
            if !inEscape { width += 1 }
            if inEscape && character == "m" { inEscape = false }
        }
        return width
    }
}
