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
        let timed = race.contenders.map { contender in
            Timed(
                name: contender.name, floor: contender.floor, note: contender.note,
                result: contender.failure == nil
                    ? Statistics(nanoseconds: contender.times.map { Double($0) }) : nil,
                failure: contender.failure)
        }
        let differences = race.differences.map { difference in
            Timed(
                name: difference.name, floor: difference.floor, note: difference.note,
                result: difference.times(of: race.contenders)
                    .flatMap(Statistics.init(nanoseconds:)),
                failure: nil)
        }
        rows = Report.rows(timed + differences)
    }

    /// One row before it is known how it compares.
    private struct Timed {
        let name: String
        let floor: String?
        let note: String
        let result: Statistics?
        let failure: String?
    }

    private static func rows(_ all: [Timed]) -> [Row] {
        var medians: [String: Double] = [:]
        for timed in all { medians[timed.name] = timed.result?.median }
        return all.map { timed in
            let floor = timed.floor.flatMap { medians[$0] }
            return Row(
                name: timed.name, milliseconds: timed.result, floor: timed.floor,
                timesFloor: timed.result.flatMap { result in floor.map { result.median / $0 } },
                note: timed.note, failure: timed.failure)
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
