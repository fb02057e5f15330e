import Glibc
import Kernel

/// The cgroup of a sandbox that runs, from outside: to be read and to be frozen.
public struct RunningControlGroup: Sendable {
    let directories: [String]

    /// - Parameter directories: one for each hierarchy; see ``ControlGroup/locate()``.
    public init(directories: [String]) { self.directories = directories }

    /// What a file says, in whichever hierarchy has it.
    func read(_ file: String) -> String? {
        for directory in directories {
            if let text = readControl("\(directory)/\(file)") { return text }
        }
        return nil
    }

    /// The value behind `key` in a file of lines.
    func read(_ file: String, key: String) -> Int? {
        for directory in directories {
            if let value = readControl("\(directory)/\(file)", key: key) { return value }
        }
        return nil
    }

    // book: begin freeze
    /// Stops all its processes where they are, or lets them go on. They do not notice.
    ///
    /// It is done when all have stopped. See "Core Interface Files" in the kernel's
    /// documentation of cgroup v2, and "Cgroup Freezer" in that of version 1.
    /// - Throws: `EOPNOTSUPP` where no hierarchy can.
    public func freeze(_ frozen: Bool) throws(KernelError) {
        for directory in directories {
            for (file, value) in [
                ("cgroup.freeze", frozen ? "1" : "0"),
                ("freezer.state", frozen ? "FROZEN" : "THAWED"),
            ] where fileType("\(directory)/\(file)") != nil {
                try writeControl("\(directory)/\(file)", value, why: "all its processes at once")
                for _ in 0..<2000 where isFrozen != frozen { usleep(1000) }
                return
            }
        }
        throw KernelError(
            "freeze", directories.first ?? "a container without a cgroup",
            Errno(rawValue: EOPNOTSUPP), remedy: "`hull doctor` tells which controllers there are.")
    }

    /// Whether its processes are stopped.
    public var isFrozen: Bool {
        // Version 2's directory is the first, if there is one.
        if let first = directories.first,
            readControl(first + "/cgroup.events", key: "frozen") == 1
        {
            return true
        }
        return read("freezer.state") == "FROZEN"
    }
    // book: end freeze
}

/// What a sandbox uses, at one moment.
public struct ResourceUsage: Sendable {
    /// CPU time so far, in microseconds.
    public var cpuTime: Int?
    /// Memory in bytes, without what the kernel would give up first.
    public var memory: Int?
    /// Its limit in bytes; nil where it has none of its own.
    public var memoryLimit: Int?
    /// Processes and threads.
    public var processes: Int?
    /// Their limit; nil where there is none.
    public var processesLimit: Int?
    /// Bytes read from disks so far.
    public var bytesRead: Int?
    /// Bytes written to disks so far.
    public var bytesWritten: Int?
    /// Percent of the last ten seconds in which some process waited for CPU, memory or disk.
    public var pressure: [(resource: String, percent: String)] = []
}

extension RunningControlGroup {
    // book: begin usage
    /// Reads version 2's files where they are, else version 1's.
    public func usage() -> ResourceUsage {
        var usage = ResourceUsage()
        usage.cpuTime =
            read("cpu.stat", key: "usage_usec") ?? number("cpuacct.usage").map { $0 / 1000 }
        // The file cache counts as use, though the kernel drops its old part when it has to.
        let cache =
            read("memory.stat", key: "total_inactive_file")
            ?? read("memory.stat", key: "inactive_file") ?? 0
        usage.memory = (number("memory.current") ?? number("memory.usage_in_bytes"))
            .map { max($0 - cache, 0) }
        // Version 1 writes a number near 2⁶³ where version 2 writes `max`.
        usage.memoryLimit = (number("memory.max") ?? number("memory.limit_in_bytes"))
            .flatMap { $0 < 1 << 62 ? $0 : nil }
        usage.processes = number("pids.current")
        usage.processesLimit = number("pids.max")
        (usage.bytesRead, usage.bytesWritten) = transferred()
        usage.pressure = pressure()
        return usage
    }
    // book: end usage

    private func number(_ file: String) -> Int? { read(file).flatMap { Int($0) } }

    /// Lines such as `254:0 rbytes=1 wbytes=2 …` in version 2, `254:0 Read 1` in version 1.
    private func transferred() -> (Int?, Int?) {
        let v2 = read("io.stat")
        guard let text = v2 ?? read("blkio.throttle.io_service_bytes_recursive") else {
            return (nil, nil)
        }
        var (readBytes, written) = (0, 0)
        for line in split(text, at: "\n") {
            let parts = words(of: line)
            if parts.count == 3, let count = Int(parts[2]) {
                if parts[1] == "Read" { readBytes += count }
                if parts[1] == "Write" { written += count }
            }
            for part in parts {
                let sides = split(part, at: "=")
                guard sides.count == 2, let count = Int(sides[1]) else { continue }
                if sides[0] == "rbytes" { readBytes += count }
                if sides[0] == "wbytes" { written += count }
            }
        }
        return (readBytes, written)
    }

    /// See "PSI - Pressure Stall Information" in the kernel's documentation.
    private func pressure() -> [(resource: String, percent: String)] {
        var found: [(String, String)] = []
        for resource in ["cpu", "memory", "io"] {
            // some avg10=0.12 avg60=…
            let parts = words(of: split(read("\(resource).pressure") ?? "", at: "\n")[0])
            guard parts.count > 1, parts[1].hasPrefix("avg10=") else { continue }
            found.append((resource, String(parts[1].dropFirst(6))))
        }
        return found
    }
}
