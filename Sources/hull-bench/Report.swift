import FoundationEssentials
import Kernel
import Terminal

/// The result, in the three forms that it is asked for.
struct Report: Encodable {
    struct Row: Encodable {
        let name: String
        let milliseconds: Statistics?
        let floor: String?
        /// The median divided by the floor's median.
        let timesFloor: Double?
        let note: String
        let failure: String?
    }

    let machine: Machine
    let runs: Int
    let rows: [Row]
    let footnotes: [String]

    init(of race: Race, on machine: Machine) {
        self.machine = machine
        runs = race.runs
        footnotes = race.footnotes
        let statistics = race.contenders.map { contender in
            contender.failure == nil ? Statistics(nanoseconds: contender.times) : nil
        }
        var medians: [String: Double] = [:]
        for (contender, result) in zip(race.contenders, statistics) {
            medians[contender.name] = result?.median
        }
        rows = zip(race.contenders, statistics).map { contender, result in
            let floor = contender.floor.flatMap { medians[$0] }
            return Row(
                name: contender.name, milliseconds: result, floor: contender.floor,
                timesFloor: result.flatMap { result in floor.map { result.median / $0 } },
                note: contender.note, failure: contender.failure)
        }
    }

    /// For a terminal.
    var text: String {
        let lines = [machineLine] + footnotes
        let table = alignRight([Report.header] + rows.map(cells))
            // An empty note would leave its column's spaces at the end of the line.
            .map { $0.last == "" ? $0.dropLast() : $0 }
        return Table.aligned(table)
            + "\n" + lines.joined(separator: "\n") + "\n"
    }

    /// For a README.
    var markdown: String {
        var lines = [Report.header, ["---", "--:", "--:", "--:", "---", "---"]]
        lines += rows.map(cells)
        let table = lines.map { "| " + $0.joined(separator: " | ") + " |\n" }.joined()
        return table + "\n" + ([machineLine] + footnotes).joined(separator: "\n\n") + "\n"
    }

    /// For programs.
    func json() throws(KernelError) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
        } catch {
            throw KernelError("write", "the result", .invalidArgument, remedy: "\(error)")
        }
    }

    private static let header = ["contender", "median ms", "min", "p90", "× floor", "note"]

    private func cells(_ row: Row) -> [String] {
        guard let result = row.milliseconds else {
            return [row.name, "–", "–", "–", "–", row.failure ?? "not timed"]
        }
        let ratio = row.timesFloor.map { times in
            row.floor == row.name ? "1" : "\(twoDigits(times)) × \(row.floor ?? "")"
        }
        return [
            row.name, twoDigits(result.median), twoDigits(result.minimum),
            twoDigits(result.ninetieth), ratio ?? "–", row.note,
        ]
    }

    /// Puts the points of the numbers, which all have two digits after them, under each other.
    private func alignRight(_ table: [[String]]) -> [[String]] {
        let widths = (0..<Report.header.count).map { column in
            (1...3).contains(column) ? table.map { $0[column].count }.max() ?? 0 : 0
        }
        return table.map { row in
            zip(row, widths).map { cell, width in
                String(repeating: " ", count: max(0, width - cell.count)) + cell
            }
        }
    }

    private var machineLine: String {
        "\(machine.distribution), Linux \(machine.kernel), \(machine.processors) × "
            + "\(machine.processor); \(runs) runs of each, in turns, after \(Race.warmUps) to warm up."
    }
}
