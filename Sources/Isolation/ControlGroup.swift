import CLinux
import Glibc
import Kernel
import Terminal

/// A share of the machine: what a sandbox may use of it, counted and limited by the kernel.
///
/// A cgroup holds processes, and those that they start. Each controller of the kernel counts
/// what they use together and stops them at a limit. See `cgroups(7)`.
public final class ControlGroup: Mechanism {
    /// As the narrator calls it.
    public let name = "cgroup"
    private let limits: ResourceLimits
    private let groupName: String
    private let parent: String?
    /// The host's devices that it may use.
    let devices: [HostDevice]
    /// Whether it may use all others too (`--privileged`).
    var allowsEveryDevice = false
    /// Where a cgroup may be made; nil before anyone has looked.
    private var usable: [ControlGroupHierarchy]?
    private var directories: ControlGroupDirectories?
    private var entrances: ControlGroupEntrances?
    private var note: OwnedDirectory?

    /// How often the kernel killed a process for lack of memory. Known after ``release()``.
    public private(set) var memoryKills = 0

    /// - Parameters:
    ///   - name: what the cgroup is called; no two may have the same.
    ///   - devices: the host's devices that it may use, beside those that every container has.
    ///   - parent: the cgroup to make it in, below the topmost that we may manage.
    public init(
        named name: String, _ limits: ResourceLimits, devices: [HostDevice] = [],
        parent: String? = nil
    ) {
        groupName = name
        self.limits = limits
        self.devices = devices
        self.parent = parent
    }

    /// Finds out where it is going to be. Nothing is made yet.
    /// - Returns: its directories.
    /// - Throws: where a limit is asked for that the host cannot keep.
    public func locate() throws(KernelError) -> [String] {
        try findUsable().filter(isUsed).map { $0.path(of: groupName) }
    }

    /// Looks only once: it takes two questions for each hierarchy.
    private func findUsable() throws(KernelError) -> [ControlGroupHierarchy] {
        if let usable { return usable }
        let found = try ControlGroupHierarchy.usable(below: parent)
        try checkControllers(in: found)
        usable = found
        return found
    }

    /// The hierarchies that it has a directory in.
    var hierarchies: [ControlGroupHierarchy] { directories?.parts.map(\.hierarchy) ?? [] }

    // book: begin cgroup-prepare
    /// Makes the cgroup and sets its limits, before there is anyone to hold to them.
    /// - Throws: where a limit is asked for that the host cannot keep; nothing is made then.
    public func prepare() throws(KernelError) {
        let usable = try findUsable()
        let plan = usable.filter(isUsed)
        if plan.isEmpty { return }
        try Self.sweep(parent == nil ? usable : ControlGroupHierarchy.usable())
        if let parent { note = try ControlGroupNotes.write(parent) }
        let directories = try ControlGroupDirectories(named: groupName, in: plan)
        self.directories = directories
        try enableControllers(in: directories)
        for limit in limits.files { try apply(limit, in: directories) }
        try restrictDevices(in: directories)
        entrances = try ControlGroupEntrances(directories.places)
    }
    // book: end cgroup-prepare

    // book: begin cgroup-born
    /// In version 2 it is born in its cgroup: the descriptor goes to `clone3(2)`.
    public var cgroup: CInt? { directories?.descriptor }

    /// In version 1 it goes in by itself, through these.
    public var descriptors: [CInt] { entrances?.descriptors ?? [] }
    // book: end cgroup-born

    /// The sandbox has the entrances now; its owner needs them no more.
    public func adopt(_ child: ProcessID) throws(KernelError) { entrances = nil }

    // book: begin cgroup-enter
    /// Goes in, and makes its own cgroup the top of all it can see.
    ///
    /// In this order: the namespace's root is where its maker is. See `cgroup_namespaces(7)`.
    public func enter() throws(KernelError) {
        try entrances?.enter()
        try unshareControlGroups(why: "above its own cgroup there is nothing to be seen")
    }
    // book: end cgroup-enter

    /// Removes it, and tells if the kernel had to kill in it.
    public func release() throws(KernelError) {
        if let directories {
            countMemoryKills(in: directories)
            try directories.remove()
            self.directories = nil
        }
        try note.take()?.release()
    }

    /// Ends and removes what killed owners left, wherever they had it.
    public static func sweep() throws(KernelError) { try sweep(ControlGroupHierarchy.usable()) }

    private static func sweep(_ hierarchies: [ControlGroupHierarchy]) throws(KernelError) {
        ControlGroupDirectories.sweep(hierarchies)
        let parents = ControlGroupNotes.abandoned()
        for parent in parents {
            // A parent that is gone has taken ours with it.
            do {
                ControlGroupDirectories.sweep(try ControlGroupHierarchy.usable(below: parent))
            } catch {}
        }
        if !parents.isEmpty { ControlGroupNotes.sweep() }
    }
}

// MARK: - Limits

extension ControlGroup {
    /// A limit that is not kept is worse than none: the user would rely on it.
    private func checkControllers(in hierarchies: [ControlGroupHierarchy]) throws(KernelError) {
        for limit in limits.files {
            let isThere = hierarchies.contains {
                $0.controllers.contains(limit.controller(in: $0.version))
            }
            if isThere { continue }
            throw KernelError(
                "limit", limit.option, Errno(rawValue: EOPNOTSUPP),
                remedy: hierarchies.isEmpty
                    ? "No cgroup may be made here; see `hull doctor`. As an ordinary user, have one"
                        + " delegated: systemd-run --user --scope -p Delegate=yes COMMAND."
                    : "The \(limit.v2.controller) controller is not there for us to use; `hull"
                        + " doctor` lists those that are. As an ordinary user, have it delegated"
                        + " (systemd: Delegate=yes).")
        }
    }

    /// A cpuset of version 1 starts empty and takes no process before it is filled.
    private func isUsed(_ hierarchy: ControlGroupHierarchy) -> Bool {
        hierarchy.version == .v2 || hierarchy.controllers != ["cpuset"] || limitsCPUSet
    }

    private var limitsCPUSet: Bool { limits.cpus != nil || limits.memoryNodes != nil }

    private func apply(
        _ limit: LimitFiles, in directories: ControlGroupDirectories
    ) throws(KernelError) {
        let part = directories.parts.first {
            $0.hierarchy.controllers.contains(limit.controller(in: $0.version))
        }
        guard let part else { return }
        if part.version == .v1 && limit.v1.controller == "cpuset" { try fillCPUSet(part) }
        try limit.write(in: part.path, part.version)
    }

    /// What is not restricted in it is what the parent has.
    private func fillCPUSet(_ part: ControlGroupDirectories.Part) throws(KernelError) {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            try writeControl(
                "\(part.path)/\(file)", readControl("\(part.hierarchy.top)/\(file)") ?? "",
                why: "in version 1 an empty set would take no process")
        }
    }
}

// MARK: - Devices

extension ControlGroup {
    // book: begin cgroup-devices
    /// Refuses every device, then allows some: rules in version 1, a program in version 2.
    private func restrictDevices(in directories: ControlGroupDirectories) throws(KernelError) {
        if allowsEveryDevice { return }
        let rules = DeviceRule.defaults + devices.map(\.rule)
        do throws(KernelError) {
            if let part = directories.part(with: "devices") {
                try writeControl(part.path + "/devices.deny", "a", why: "no device at all")
                let allowed = try ControlFile(part.path + "/devices.allow")
                for rule in rules { try allowed.write(rule.text, why: "but this one") }
            } else if let cgroup = directories.descriptor {
                try attachDeviceProgram(
                    DeviceRule.program(following: rules), to: cgroup,
                    why: "asked from here on whenever a device is opened")
            }
        } catch {
            // Who is root of a user namespace only cannot; nor can they make device nodes.
            guard error.errno == .notPermitted, !isInFirstUserNamespace else { throw error }
        }
    }
    // book: end cgroup-devices
}

// MARK: - Version 2

extension ControlGroup {
    /// In version 2 a controller works in a cgroup where the one above hands it down.
    ///
    /// What is not limited is handed down too where it can be: it counts for `hull stats`.
    private func enableControllers(in directories: ControlGroupDirectories) throws(KernelError) {
        guard let part = directories.parts.first, part.version == .v2 else { return }
        var wanted: [String] = []
        for controller in ["cpu", "io", "memory", "pids", "cpuset"]
        where part.hierarchy.controllers.contains(controller) {
            if controller != "cpuset" || limitsCPUSet { wanted.append(controller) }
        }
        do {
            try enable(wanted, in: part.hierarchy.top)
        } catch {
            if limits.isEmpty { return }
            guard error.errno == .busy else { throw error }
            throw error.advising(
                "Processes live in it, so that it cannot hand controllers down: start them in a"
                    + " cgroup below it.")
        }
    }

    private func enable(_ wanted: [String], in directory: String) throws(KernelError) {
        let file = directory + "/cgroup.subtree_control"
        let enabled = words(of: readControl(file) ?? "")
        var missing: [String] = []
        for controller in wanted where !enabled.contains(controller) {
            missing.append("+" + controller)
        }
        if missing.isEmpty { return }
        try writeControl(
            file, join(missing, with: " "), why: "controllers for the cgroups below this one")
    }
}

// MARK: - Memory

extension ControlGroup {
    private func countMemoryKills(in directories: ControlGroupDirectories) {
        guard let limit = limits.memory, let part = directories.part(with: "memory") else { return }
        let file = part.version == .v1 ? "memory.oom_control" : "memory.events"
        memoryKills = readControl("\(part.path)/\(file)", key: "oom_kill") ?? 0
        if memoryKills == 0 { return }
        let who = memoryKills == 1 ? "1 process was" : "\(memoryKills) processes were"
        Program.write(
            "\(who) killed for lack of memory: the limit is \(ByteSize.text(limit)) (--memory).\n",
            to: 2)
    }
}
