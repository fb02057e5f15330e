/// What somebody may have meant who wrote a name that there is not.
enum Suggestions {
    /// "Did you mean A or B?", or `otherwise` where nothing is near.
    static func text(for word: String, among names: [String], otherwise: String) -> String {
        let near = names.map { ($0, distance(word.lowercased(), $0.lowercased())) }
            .filter { $0.1 <= max(2, word.count / 3) }
            .sorted { $0.1 < $1.1 }
            .prefix(3).map(\.0)
        guard let last = near.last else { return otherwise }
        if near.count == 1 { return "Did you mean \(last)?" }
        return "Did you mean \(near.dropLast().joined(separator: ", ")) or \(last)?"
    }

    /// How many letters have to be put in, left out or changed: Levenshtein's distance.
    private static func distance(_ first: String, _ second: String) -> Int {
        let first = Array(first.utf8)
        let second = Array(second.utf8)
        var row = Array(0...second.count)
        for (index, letter) in first.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for (column, other) in second.enumerated() {
                let change = diagonal + (letter == other ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(change, row[column] + 1, row[column + 1] + 1)
            }
        }
        return row[second.count]
    }
}
