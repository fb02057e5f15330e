import Glibc
import Kernel
import OCISpec

extension RunningControlGroup {
    /// What it uses and has used, in the form in which runtimes tell it (`events --stats`).
    ///
    /// Times are in nanoseconds, sizes in bytes. Version 2's files are read where they are, else
    /// version 1's.
    public func statistics() -> JSON {
        .object(present: [
            ("cpu", cpuStatistics()), ("cpuset", cpuSet()), ("memory", memoryStatistics()),
            ("pids", processStatistics()), ("blkio", transferStatistics()),
            ("hugetlb", hugePages()), ("intel_rdt", .object([])), ("network_interfaces", .null),
        ])
    }

    private func number(_ file: String) -> Int? {
        guard let text = read(file) else { return nil }
        return text == "max" ? .max : Int(text)
    }

    private func processStatistics() -> JSON {
        let limit = number("pids.max").flatMap { $0 == .max ? nil : $0 }
        return .object(present: [
            ("current", number("pids.current").map(JSON.integer)),
            ("limit", limit.map(JSON.integer)),
        ])
    }

    private func cpuSet() -> JSON {
        .object(present: [
            ("cpus", set("cpuset.cpus.effective", or: "cpuset.effective_cpus")),
            ("mems", set("cpuset.mems.effective", or: "cpuset.effective_mems")),
        ])
    }

    /// Each number of a set such as `0-2,5`.
    private func set(_ file: String, or other: String) -> JSON? {
        guard let text = read(file) ?? read(other) else { return nil }
        var numbers: [JSON] = []
        for range in split(text, at: ",") {
            let ends = split(range, at: "-")
            guard let first = Int(ends[0]), let last = Int(ends[ends.count - 1]), first <= last
            else { continue }
            for number in first...last { numbers.append(.integer(number)) }
        }
        return .array(numbers)
    }
}

// MARK: - CPU

extension RunningControlGroup {
    private func cpuStatistics() -> JSON {
        .object(present: [
            ("usage", cpuUsage()), ("throttling", throttling()), ("psi", pressure(of: "cpu")),
        ])
    }

    private func cpuUsage() -> JSON {
        if let total = read("cpu.stat", key: "usage_usec") {
            return .object(present: [
                ("total", .integer(total * 1000)),
                ("kernel", .integer((read("cpu.stat", key: "system_usec") ?? 0) * 1000)),
                ("user", .integer((read("cpu.stat", key: "user_usec") ?? 0) * 1000)),
            ])
        }
        // Version 1 counts the two kinds in ticks, of which there are 100 a second.
        let tick = 10_000_000
        return .object(present: [
            ("total", .integer(number("cpuacct.usage") ?? 0)),
            ("percpu", numbers("cpuacct.usage_percpu")),
            ("percpu_kernel", numbers("cpuacct.usage_percpu_sys")),
            ("percpu_user", numbers("cpuacct.usage_percpu_user")),
            ("kernel", .integer((read("cpuacct.stat", key: "system") ?? 0) * tick)),
            ("user", .integer((read("cpuacct.stat", key: "user") ?? 0) * tick)),
        ])
    }

    private func numbers(_ file: String) -> JSON? {
        guard let text = read(file) else { return nil }
        return .array(words(of: text).compactMap { Int($0) }.map(JSON.integer))
    }

    private func throttling() -> JSON {
        let time =
            read("cpu.stat", key: "throttled_usec").map { $0 * 1000 }
            ?? read("cpu.stat", key: "throttled_time") ?? 0
        var members: [(String, JSON?)] = []
        for (name, value) in [
            ("periods", read("cpu.stat", key: "nr_periods") ?? 0),
            ("throttledPeriods", read("cpu.stat", key: "nr_throttled") ?? 0),
            ("throttledTime", time),
        ] where value != 0 { members.append((name, .integer(value))) }
        return .object(present: members)
    }

    /// Lines such as `some avg10=0.12 avg60=0.00 avg300=0.00 total=1`.
    private func pressure(of resource: String) -> JSON? {
        guard let text = read("\(resource).pressure") else { return nil }
        var lines: [JSON.Member] = []
        for line in split(text, at: "\n") {
            let parts = words(of: line)
            var members: [JSON.Member] = []
            for part in parts.dropFirst() {
                let sides = split(part, at: "=")
                guard sides.count == 2 else { continue }
                let value =
                    sides[0] == "total"
                    ? JSON.integer(Int(sides[1]) ?? 0) : .real(Double(sides[1]) ?? 0)
                members.append(.init(sides[0], value))
            }
            if let name = parts.first { lines.append(.init(name, .object(members))) }
        }
        return .object(lines)
    }
}

// MARK: - Memory

extension RunningControlGroup {
    private func memoryStatistics() -> JSON {
        if number("memory.current") == nil { return oldMemoryStatistics() }
        // The counter is of this container and of those cgroups that it made.
        let usage = number("memory.current") ?? 0
        let swap = number("memory.swap.current") ?? 0
        let swapLimit = number("memory.swap.max") ?? 0
        let limit = number("memory.max") ?? .max
        let both = swapLimit == .max || limit == .max ? Int.max : limit + swapLimit
        return .object(present: [
            ("cache", .integer(read("memory.stat", key: "file") ?? 0)),
            (
                "usage",
                entry(
                    limit, usage, number("memory.peak"),
                    read("memory.events", key: "max"))
            ),
            ("swap", entry(both, usage + swap, nil, read("memory.swap.events", key: "max"))),
            ("kernel", entry(nil, nil, nil, nil)), ("kernelTCP", entry(nil, nil, nil, nil)),
            ("raw", raw()), ("psi", pressure(of: "memory")),
        ])
    }

    private func oldMemoryStatistics() -> JSON {
        func counter(_ name: String) -> JSON {
            entry(
                number("memory.\(name)limit_in_bytes"), number("memory.\(name)usage_in_bytes"),
                number("memory.\(name)max_usage_in_bytes"), number("memory.\(name)failcnt"))
        }
        return .object(present: [
            ("cache", .integer(read("memory.stat", key: "cache") ?? 0)), ("usage", counter("")),
            ("swap", counter("memsw.")), ("kernel", counter("kmem.")),
            ("kernelTCP", counter("kmem.tcp.")), ("raw", raw()),
        ])
    }

    private func entry(_ limit: Int?, _ usage: Int?, _ most: Int?, _ failures: Int?) -> JSON {
        var members: [(String, JSON?)] = [("limit", .integer(limit ?? 0))]
        if let usage { members.append(("usage", .integer(usage))) }
        if let most { members.append(("max", .integer(most))) }
        return .object(present: members + [("failcnt", .integer(failures ?? 0))])
    }

    private func raw() -> JSON {
        var members: [JSON.Member] = []
        for line in split(read("memory.stat") ?? "", at: "\n") {
            let parts = words(of: line)
            guard parts.count == 2, let value = Int(parts[1]) else { continue }
            members.append(.init(parts[0], .integer(value)))
        }
        return .object(members)
    }
}

// MARK: - Disks and huge pages

extension RunningControlGroup {
    private func transferStatistics() -> JSON {
        if let text = read("io.stat") {
            let (bytes, operations) = unifiedTransfers(text)
            return .object(present: [
                ("ioServiceBytesRecursive", bytes), ("ioServicedRecursive", operations),
                ("psi", pressure(of: "io")),
            ])
        }
        return .object(present: [
            ("ioServiceBytesRecursive", transfers("blkio.throttle.io_service_bytes_recursive")),
            ("ioServicedRecursive", transfers("blkio.throttle.io_serviced_recursive")),
        ])
    }

    /// Lines such as `254:0 rbytes=1 wbytes=2 rios=3 wios=4 …`.
    private func unifiedTransfers(_ text: String) -> (JSON?, JSON?) {
        var (bytes, operations): ([JSON], [JSON]) = ([], [])
        for line in split(text, at: "\n") {
            let parts = words(of: line)
            guard let device = parts.first else { continue }
            for part in parts.dropFirst() {
                let sides = split(part, at: "=")
                guard sides.count == 2, let value = Int(sides[1]) else { continue }
                switch sides[0] {
                case "rbytes": append(device, "Read", value, to: &bytes)
                case "wbytes": append(device, "Write", value, to: &bytes)
                case "rios": append(device, "Read", value, to: &operations)
                case "wios": append(device, "Write", value, to: &operations)
                default: break
                }
            }
        }
        return (bytes.isEmpty ? nil : .array(bytes), operations.isEmpty ? nil : .array(operations))
    }

    /// Lines such as `254:0 Read 1`.
    private func transfers(_ file: String) -> JSON? {
        var list: [JSON] = []
        for line in split(read(file) ?? "", at: "\n") {
            let parts = words(of: line)
            guard parts.count == 3, let value = Int(parts[2]) else { continue }
            append(parts[0], parts[1], value, to: &list)
        }
        return list.isEmpty ? nil : .array(list)
    }

    private func append(_ device: String, _ kind: String, _ value: Int, to list: inout [JSON]) {
        let numbers = split(device, at: ":")
        guard numbers.count == 2, let major = Int(numbers[0]), let minor = Int(numbers[1]) else {
            return
        }
        list.append(
            .object(present: [
                ("major", .integer(major)), ("minor", .integer(minor)), ("op", .string(kind)),
                ("value", .integer(value)),
            ]))
    }

    private func hugePages() -> JSON {
        var members: [JSON.Member] = []
        for directory in directories {
            for file in namesOrNone(in: directory) where file.hasPrefix("hugetlb.") {
                let size = split(file, at: ".")[1]
                guard !members.contains(where: { $0.name == size }) else { continue }
                let usage =
                    number("hugetlb.\(size).current")
                    ?? number("hugetlb.\(size).usage_in_bytes")
                let failures =
                    read("hugetlb.\(size).events", key: "max")
                    ?? number("hugetlb.\(size).failcnt")
                members.append(
                    .init(
                        size,
                        .object(present: [
                            ("usage", .integer(usage ?? 0)),
                            (
                                "max",
                                number("hugetlb.\(size).max_usage_in_bytes").map(JSON.integer)
                            ),
                            ("failcnt", .integer(failures ?? 0)),
                        ])))
            }
        }
        return .object(members)
    }
}
