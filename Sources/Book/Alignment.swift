/// What was expected and what came, laid side by side with the fewest differences.
///
/// This is the edit distance, with one more step for the wildcard: it takes elements for
/// nothing. The table is filled from the end, so that it can be read from the beginning.
struct Alignment {
    /// One step along both sequences, by index.
    enum Step: Equatable {
        /// The two are the same.
        case keep(expected: Int, actual: Int)
        /// A wildcard, with whatever it takes.
        case wildcard(expected: Int)
        case replace(expected: Int, actual: Int)
        case delete(expected: Int)
        case insert(actual: Int)
    }

    let steps: [Step]

    /// Aligns `expected` with `actual` elements, of which there are so many.
    ///
    /// - Parameter replacing: what it costs to put one in another's place, from 1 (nearly
    ///   the same) to `Alignment.unlike`.
    init(
        _ expected: Int, _ actual: Int,
        isWildcard: (Int) -> Bool = { _ in false },
        matches: (Int, Int) -> Bool,
        replacing: (Int, Int) -> Int = { _, _ in Alignment.unlike }
    ) {
        guard expected * actual <= Alignment.largest else {
            steps =
                (0..<expected).map { .delete(expected: $0) }
                + (0..<actual).map { .insert(actual: $0) }
            return
        }
        let table = Table(expected, actual, isWildcard, matches, replacing)
        steps = table.walk(isWildcard, matches)
    }

    /// The cost of putting one thing in the place of another that is quite unlike it.
    static let unlike = 3
    /// An output of many thousand lines is replaced, not compared.
    private static let largest = 4_000_000
}

private struct Table {
    private static let deleting = 3
    private static let inserting = 2

    private let rows: Int
    private let columns: Int
    /// `costs[i * (columns + 1) + j]`: from `expected[i...]` to `actual[j...]`.
    private var costs: [Int]
    private var replacements: [Int: Int] = [:]

    init(
        _ rows: Int, _ columns: Int, _ isWildcard: (Int) -> Bool,
        _ matches: (Int, Int) -> Bool, _ replacing: (Int, Int) -> Int
    ) {
        self.rows = rows
        self.columns = columns
        costs = Array(repeating: 0, count: (rows + 1) * (columns + 1))
        for row in (0...rows).reversed() {
            let any = row < rows && isWildcard(row)
            for column in (0...columns).reversed() {
                costs[place(row, column)] = cheapest(row, column, any, matches, replacing)
            }
        }
    }

    private func place(_ row: Int, _ column: Int) -> Int { row * (columns + 1) + column }
    private func cost(_ row: Int, _ column: Int) -> Int { costs[place(row, column)] }

    private mutating func cheapest(
        _ row: Int, _ column: Int, _ isWildcard: Bool,
        _ matches: (Int, Int) -> Bool, _ replacing: (Int, Int) -> Int
    ) -> Int {
        if row == rows { return (columns - column) * Table.inserting }
        if isWildcard {
            let without = cost(row + 1, column)
            return column == columns ? without : min(without, cost(row, column + 1))
        }
        if column == columns { return cost(row + 1, column) + Table.deleting }
        if matches(row, column) { return cost(row + 1, column + 1) }
        let replacement = replacing(row, column)
        replacements[place(row, column)] = replacement
        return min(
            cost(row + 1, column + 1) + replacement,
            cost(row + 1, column) + Table.deleting, cost(row, column + 1) + Table.inserting)
    }

    func walk(_ isWildcard: (Int) -> Bool, _ matches: (Int, Int) -> Bool) -> [Alignment.Step] {
        var steps: [Alignment.Step] = []
        var (row, column) = (0, 0)
        while row < rows || column < columns {
            if row < rows, isWildcard(row) {
                if column == columns || cost(row, column) == cost(row + 1, column) {
                    steps.append(.wildcard(expected: row))
                    row += 1
                } else {
                    column += 1
                }
                continue
            }
            let step = self.step(row, column, matches)
            steps.append(step)
            switch step {
            case .delete: row += 1
            case .insert: column += 1
            default: (row, column) = (row + 1, column + 1)
            }
        }
        return steps
    }

    private func step(
        _ row: Int, _ column: Int, _ matches: (Int, Int) -> Bool
    ) -> Alignment.Step {
        if row == rows { return .insert(actual: column) }
        if column == columns { return .delete(expected: row) }
        if matches(row, column) { return .keep(expected: row, actual: column) }
        let here = cost(row, column)
        let replacement = replacements[place(row, column)] ?? Alignment.unlike
        if here == cost(row + 1, column + 1) + replacement {
            return .replace(expected: row, actual: column)
        }
        return here == cost(row + 1, column) + Table.deleting
            ? .delete(expected: row) : .insert(actual: column)
    }
}
