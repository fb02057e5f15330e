import CLinux
import Glibc
import Kernel
import OCISpec

/// The cgroups of a machine whose service manager keeps them all: it is asked to make a scope,
/// which is a unit of processes that it has not started itself. See `systemd.scope(5)`.
///
/// `cgroupsPath` has the form `SLICE:PREFIX:NAME` then. It is asked over D-Bus with the help of
/// systemd's own `busctl(1)`: a library for it cannot be part of a static program.
struct SystemdManager {
    /// Whether it is an ordinary user's own manager.
    var isUser: Bool { geteuid() != 0 }

    /// - Throws: `EOPNOTSUPP` where no systemd runs.
    static func check() throws(KernelError) {
        // As sd_booted(3) has it.
        if fileType("/run/systemd/system") == .directory { return }
        throw KernelError(
            "systemd cgroup flag passed, but systemd support for managing cgroups is not available:",
            "/run/systemd/system", Errno(rawValue: EOPNOTSUPP),
            remedy: "Leave out --systemd-cgroup: cgroups are made through their file system then.")
    }

    // book: begin scope
    /// Has it make a scope with one process in it. That is begun when this returns.
    func start(
        _ scope: SystemdScope, _ process: ProcessID, _ resources: RuntimeResources, isV2: Bool
    ) throws(KernelError) {
        let properties =
            scope.properties(of: process) + Self.limits(resources, isV2: isV2)
        try call(
            ["StartTransientUnit", "ssa(sv)a(sa(sv))", scope.unit, "replace"]
                + Self.list(properties) + ["0"],
            why: "the service manager makes the cgroup")
    }

    /// Waits until the process is in its scope.
    func waitFor(_ scope: SystemdScope, _ process: ProcessID) throws(KernelError) {
        for _ in 0..<30_000 {
            if contains(process, scope.unit) { return }
            usleep(1000)
        }
        throw KernelError("wait for", scope.unit, Errno(rawValue: ETIMEDOUT))
    }
    // book: end scope

    private func contains(_ process: ProcessID, _ unit: String) -> Bool {
        let groups = readControl("/proc/\(process.rawValue)/cgroup") ?? ""
        return split(groups, at: "\n").contains { $0.hasSuffix("/" + unit) }
    }

    /// Has it take note of other limits, so that it does not set the old ones again.
    func update(_ unit: String, _ resources: RuntimeResources, isV2: Bool) throws(KernelError) {
        let properties = Self.limits(resources, isV2: isV2)
        if properties.isEmpty { return }
        try call(
            ["SetUnitProperties", "sba(sv)", unit, "true"] + Self.list(properties),
            why: "the service manager keeps the new limits")
    }

    /// Has it end and forget a scope. One that is gone is as good.
    func stop(_ unit: String) {
        for arguments in [
            ["StopUnit", "ss", unit, "replace"], ["ResetFailedUnit", "s", unit],
        ] {
            do { try call(arguments, why: "the service manager forgets it") } catch {}
        }
    }

    private func call(_ arguments: [String], why: StaticString) throws(KernelError) {
        try Self.check()
        guard let busctl = HelperProgram("busctl") else {
            throw KernelError(
                "run", "busctl", .noSuchFile,
                remedy: "It comes with systemd, which --systemd-cgroup asks to make cgroups.")
        }
        var words: [String] = []
        if isUser {
            let directory = getenv("XDG_RUNTIME_DIR").map { String(cString: $0) }
            words = ["--address=unix:path=\(directory ?? "/run/user/\(geteuid())")/bus"]
        }
        words += [
            "call", "--quiet", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
        ]
        try busctl.run(words + arguments, why: why)
    }

    /// How many there are, then each name, type and value.
    private static func list(_ properties: [SystemdProperty]) -> [String] {
        var words = ["\(properties.count)"]
        for property in properties { words += [property.name, property.type] + property.values }
        return words
    }
}

/// A property of a unit as D-Bus carries it. See `org.freedesktop.systemd1(5)`.
struct SystemdProperty: Equatable {
    let name: String
    let type: String
    let values: [String]

    init(_ name: String, _ type: String, _ values: String...) {
        self.name = name
        self.type = type
        self.values = values
    }
}

/// Which unit a container's cgroup is, and in which slice.
struct SystemdScope: Equatable {
    let slice: String
    let unit: String
    private let id: String

    /// Reads `SLICE:PREFIX:NAME`; absent, it is `system.slice`, or `user.slice` of an ordinary
    /// user's own manager, with the container's id as the name.
    init(path: String?, id: String) throws(KernelError) {
        self.id = id
        let usual = geteuid() == 0 ? "system.slice" : "user.slice"
        let parts = split(path ?? "\(usual):hull:\(id)", at: ":")
        guard parts.count == 3, !parts[2].isEmpty else {
            throw KernelError(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups,"
                    + " got", "\"\(path ?? "")\"", .invalidArgument,
                remedy: "Leave out --systemd-cgroup for a path in the file system.")
        }
        slice = parts[0].isEmpty ? usual : parts[0]
        let isSlice = parts[2].hasSuffix(".slice")
        let name = parts[1].isEmpty ? parts[2] : "\(parts[1])-\(parts[2])"
        unit = isSlice ? parts[2] : name + ".scope"
        guard !contains(unit, "/"), slice == "-.slice" || slice.hasSuffix(".slice"),
            !contains(slice, "/")
        else {
            throw KernelError(
                "invalid slice or name in cgroupsPath", "\"\(path ?? "")\"", .invalidArgument,
                remedy: "A slice ends with .slice, and neither has a / in it.")
        }
        _ = try Self.directory(of: slice)
    }

    /// The path of the cgroup in every hierarchy.
    func path() throws(KernelError) -> String { try Self.directory(of: slice) + "/" + unit }

    /// A slice lies within those that its name begins with: `a-b.slice` is `/a.slice/a-b.slice`.
    /// See `systemd.slice(5)`.
    static func directory(of slice: String) throws(KernelError) -> String {
        if slice == "-.slice" { return "" }
        var (path, prefix) = ("", "")
        for part in split(String(slice.dropLast(6)), at: "-") {
            if part.isEmpty {
                throw KernelError("invalid slice name", slice, .invalidArgument, remedy: "")
            }
            prefix += prefix.isEmpty ? part : "-" + part
            path += "/\(prefix).slice"
        }
        return path
    }

    func properties(of process: ProcessID) -> [SystemdProperty] {
        var properties = [
            SystemdProperty("Description", "s", "hull container \(id)"),
            SystemdProperty("Slice", "s", slice),
            // What is below its cgroup, and its files, are ours.
            SystemdProperty("Delegate", "b", "true"),
            SystemdProperty("PIDs", "au", "1", "\(process.rawValue)"),
            // It is not to be ended early at shutdown for the sake of units it knows nothing of.
            SystemdProperty("DefaultDependencies", "b", "false"),
        ]
        for controller in ["Memory", "CPU", "Tasks", "IO"] {
            properties.append(SystemdProperty("\(controller)Accounting", "b", "true"))
        }
        return properties
    }
}

extension SystemdManager {
    /// Those limits that it has a name for; all of them are written into the files too.
    static func limits(_ resources: RuntimeResources, isV2: Bool) -> [SystemdProperty] {
        var list: [SystemdProperty] = []
        func add(_ name: String, _ value: Int?) {
            // -1 as an unsigned number is how it is told that there is no limit.
            guard let value else { return }
            list.append(SystemdProperty(name, "t", "\(UInt64(bitPattern: Int64(value)))"))
        }
        let memory = resources.memory
        add(isV2 ? "MemoryMax" : "MemoryLimit", memory.limit)
        if isV2 {
            add("MemoryLow", memory.reservation)
            if let both = memory.swap {
                add("MemorySwapMax", both < 0 ? -1 : memory.limit.map { max(both - $0, 0) })
            }
        }
        if let shares = resources.cpu.shares {
            add(
                isV2 ? "CPUWeight" : "CPUShares",
                isV2 ? RuntimeLimitFiles.weight(shares: shares) : shares)
        }
        if let quota = resources.cpu.quota {
            let period = resources.cpu.period ?? 100_000
            // It counts in tens of milliseconds for each second.
            let perSecond = quota < 0 ? -1 : (quota * 1_000_000 / period + 9999) / 10_000 * 10_000
            add("CPUQuotaPerSecUSec", perSecond)
        }
        if isV2 { add("CPUQuotaPeriodUSec", resources.cpu.period) }
        add("TasksMax", resources.processes)
        return list
    }
}
