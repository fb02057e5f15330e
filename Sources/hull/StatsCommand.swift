import Engine
import Glibc
import Isolation
import Kernel
import OCISpec
import Terminal

/// `hull stats`: what containers use of the machine.
enum StatsCommand {
    static let command = Command(
        "hull stats", "[CONTAINER...]", "Show what running containers use: all, or those named.",
        options: [
            Option("no-stream", nil, .none, "Show it once, as where it is not a terminal."),
            Option("json", nil, .none, "Once and as JSON, for programs."),
        ],
        notes: """
            CPU is the share of one CPU. PRESSURE is the part of the last ten seconds in which
            some process had to wait for CPU, memory and disk, where the kernel counts that.
            """)

    static func run(_ arguments: [String], _ state: StateDirectories) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        for id in options.operands {
            _ = try Containers(state).findRunning(id, to: "show usage of container")
        }
        let isLive = isatty(1) == 1 && !options.has("no-stream") && !options.has("json")
        var before = try samples(options.operands, state)
        // A share of the CPUs is a difference between two moments.
        usleep(isLive ? 100_000 : 250_000)
        var linesShown = 0
        while true {
            let now = try samples(options.operands, state)
            let rows = now.map { Row($0, since: before) }
            if options.has("json") {
                Program.write(JSON.array(rows.map(\.json)).text(indent: 2) + "\n")
                return 0
            }
            // Back to where the table began, over what it showed.
            if linesShown > 0 { Program.write("\u{1B}[\(linesShown)A\u{1B}[J") }
            Program.write(table(rows))
            linesShown = rows.count + 1
            if !isLive || (rows.isEmpty && !options.operands.isEmpty) { return 0 }
            before = now
            sleep(1)
        }
    }

    private static func samples(
        _ prefixes: [String], _ state: StateDirectories
    ) throws(KernelError) -> [Sample] {
        try Containers(state).all().filter { container in
            container.isRunning
                && (prefixes.isEmpty
                    || prefixes.contains { container.record.id.hasPrefix($0) })
        }.map(Sample.init)
    }

    private static func table(_ rows: [Row]) -> String {
        let style = Style(for: 1)
        let heading = [
            "CONTAINER", "CPU", "MEMORY / LIMIT", "MEM", "PIDS", "READ / WRITTEN",
            "PRESSURE cpu/mem/io",
        ]
        return Table.aligned([heading.map(style.bold)] + rows.map(\.cells))
    }
}

/// One container at one moment.
private struct Sample {
    let id: String
    let usage: ResourceUsage
    /// In microseconds since some moment in the past.
    let time: Int

    init(_ container: Container) {
        id = container.record.id
        usage = container.controlGroup.usage()
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        time = now.tv_sec * 1_000_000 + now.tv_nsec / 1000
    }
}

/// What the table says of one container.
private struct Row {
    private let id: String
    private let usage: ResourceUsage
    /// In percent of one CPU; nil where it is not known yet.
    private let cpu: Double?

    init(_ now: Sample, since samples: [Sample]) {
        id = now.id
        usage = now.usage
        if let before = samples.first(where: { $0.id == now.id }), now.time > before.time,
            let then = before.usage.cpuTime, let time = now.usage.cpuTime
        {
            cpu = Double(time - then) * 100 / Double(now.time - before.time)
        } else {
            cpu = nil
        }
    }

    var cells: [String] {
        let memory = bytes(usage.memory) + " / " + limit(usage.memoryLimit)
        let transfer = bytes(usage.bytesRead) + " / " + bytes(usage.bytesWritten)
        return [id, percent(cpu), memory, percent(memoryPercent), processes, transfer, pressure]
    }

    var json: JSON {
        let numbers: [(String, Int?)] = [
            ("cpuMicroseconds", usage.cpuTime), ("memory", usage.memory),
            ("memoryLimit", usage.memoryLimit), ("pids", usage.processes),
            ("pidsLimit", usage.processesLimit), ("bytesRead", usage.bytesRead),
            ("bytesWritten", usage.bytesWritten),
        ]
        let pressure = usage.pressure.map { JSON.Member($0.resource, .string($0.percent)) }
        return .object(
            present: [("id", .string(id)), ("cpuPercent", cpu.map { .real(rounded($0)) })]
                + numbers.map { ($0.0, $0.1.map(JSON.integer)) }
                + [("pressure", .object(pressure))])
    }

    private var processes: String {
        guard let count = usage.processes else { return "–" }
        return usage.processesLimit.map { "\(count) / \($0)" } ?? "\(count)"
    }

    private var memoryPercent: Double? {
        guard let memory = usage.memory, let limit = usage.memoryLimit, limit > 0 else {
            return nil
        }
        return Double(memory) * 100 / Double(limit)
    }

    private var pressure: String {
        if usage.pressure.isEmpty { return "–" }
        return usage.pressure.map { $0.percent + "%" }.joined(separator: " ")
    }

    private func percent(_ number: Double?) -> String {
        number.map { "\(rounded($0))%" } ?? "–"
    }

    private func rounded(_ number: Double) -> Double { (number * 10).rounded() / 10 }

    private func bytes(_ count: Int?) -> String { count.map(ByteSize.text) ?? "–" }

    private func limit(_ count: Int?) -> String { count.map(ByteSize.text) ?? "none" }
}
