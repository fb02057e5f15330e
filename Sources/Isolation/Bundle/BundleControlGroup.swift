import CLinux
import Glibc
import Kernel
import OCISpec

/// Who makes the cgroups of containers on this machine.
public enum ControlGroupManager: String, Sendable {
    /// We do, through their file system.
    case cgroupfs
    /// The service manager does, when it is asked for a scope.
    case systemd
    /// Nobody: containers stay in their maker's.
    case disabled
}

/// The cgroup of a bundle: at a path that the caller knows, in every hierarchy that is mounted,
/// and it stays when the command that made it has ended.
///
/// See runtime-spec, config-linux.md, "Control groups", and `cgroups(7)`.
public final class BundleControlGroup: Mechanism {
    /// As the narrator calls it.
    public let name = "cgroup"
    private let path: String?
    private let id: String
    private let isMachinesRoot = Kernel.isMachinesRoot
    private let resources: RuntimeResources
    private let manager: ControlGroupManager
    private let hasNamespace: Bool
    private let owner: uid_t?
    private let mayBeMadeLate: Bool
    /// Whether the directories of version 1 are made while the sandbox is at work already: they
    /// take a tenth of a container's time. In version 2 it is born in its cgroup.
    private var isMadeLate = false
    private var directories: [ControlGroupDirectory] = []
    /// Those that were mounted on the host before it was made; empty where nobody had to know.
    private(set) var hierarchies: [ControlGroupHierarchy] = []
    private var scope: SystemdScope?
    private var handle: CInt = -1
    private var entrances: ControlGroupEntrances?

    /// Where it is. Known after ``adopt(_:)``.
    public private(set) var paths = ControlGroupPaths()

    /// - Parameters:
    ///   - path: `linux.cgroupsPath`. From a `/` on it is seen from where a hierarchy is mounted;
    ///     without it, from our own cgroup. nil is the container's id, at the top.
    ///   - id: the container's.
    ///   - resources: `linux.resources`.
    ///   - hasNamespace: whether its own cgroup is the top of all that it can see.
    ///   - owner: who inside may make cgroups below it, as a user of this host; version 2 only.
    ///   - mayBeMadeLate: whether the sandbox finds it by itself: it is the machine's root, and
    ///     sees the host's files, when it enters this.
    public init(
        path: String?, id: String, _ resources: RuntimeResources,
        manager: ControlGroupManager = .cgroupfs, hasNamespace: Bool = true, owner: uid_t? = nil,
        mayBeMadeLate: Bool = false
    ) {
        self.mayBeMadeLate = mayBeMadeLate
        self.path = path == "" ? nil : path
        self.id = id
        self.resources = resources
        self.manager = manager
        self.hasNamespace = hasNamespace
        self.owner = owner
    }

    deinit { if handle >= 0 { close(handle) } }

    // book: begin bundle-cgroup-prepare
    /// Makes it and sets its limits, before there is anyone to hold to them.
    ///
    /// - Throws: `EBUSY` where processes are in it already, `EINVAL` for a path that leads out.
    public func prepare() throws(KernelError) {
        switch manager {
        case .disabled: return
        case .systemd:
            try SystemdManager.check()
            scope = try SystemdScope(path: path, id: id)
        case .cgroupfs:
            hierarchies = try ControlGroupHierarchy.mounted()
            isMadeLate =
                mayBeMadeLate && isMachinesRoot && hierarchies.contains { $0.version == .v1 }
            if isMadeLate {
                return try make(
                    at: place, in: hierarchies.filter { $0.version == .v2 })
            }
            try make(at: place, in: hierarchies)
            try restrict()
            entrances = try ControlGroupEntrances(directories)
        }
    }
    // book: end bundle-cgroup-prepare

    /// Where it is to be. The machine's root has it at the top, where it counts for nobody else's
    /// limits.
    private var place: String { path ?? (isMachinesRoot ? "/" + id : id) }

    /// In version 2 it is born in its cgroup, see `clone3(2)`; in one of the service manager's it
    /// is not.
    public var cgroup: CInt? { scope == nil && handle >= 0 ? handle : nil }

    /// Where it goes in by itself; see ``ControlGroupEntrances``.
    public var descriptors: [CInt] { entrances?.descriptors ?? [] }

    // book: begin bundle-cgroup-adopt
    /// A scope of the service manager's is made around a process, so that it is moved there, and
    /// its limits can be set only now.
    public func adopt(_ child: ProcessID) throws(KernelError) {
        // The child has them; we have seen enough of them.
        entrances = nil
        if isMadeLate {
            try make(at: place, in: hierarchies.filter { $0.version == .v1 })
            return try restrict()
        }
        guard let scope else { return }
        hierarchies = try ControlGroupHierarchy.mounted()
        let isV2 = !hierarchies.contains { $0.version == .v1 }
        try SystemdManager().start(scope, child, resources, isV2: isV2)
        // Not before: one of that name may be another container's.
        paths.unit = scope.unit
        try SystemdManager().waitFor(scope, child)
        try make(at: try scope.path(), in: hierarchies)
        try restrict()
        for directory in directories {
            try moveProcess(child, into: directory.path, why: "from here on it is counted")
        }
    }

    /// In version 1 it goes in by itself. Then it makes its own cgroup the top of all it can see.
    /// See `cgroup_namespaces(7)`.
    public func enter() throws(KernelError) {
        do throws(KernelError) {
            let doors = if isMadeLate { try lateEntrances() } else { entrances }
            try doors?.enter()
        } catch {
            // Version 1 asks for more than that we could make the directory.
            guard mayGoWithout(error) else { throw error }
        }
        guard hasNamespace else { return }
        try unshareControlGroups(why: "above its own cgroup there is nothing to be seen")
    }
    // book: end bundle-cgroup-adopt

    private func lateEntrances() throws(KernelError) -> ControlGroupEntrances {
        let rest = "/" + join(try parts(of: place), with: "/")
        var places: [ControlGroupDirectory] = []
        for hierarchy in hierarchies where hierarchy.version == .v1 {
            places.append(ControlGroupDirectory(.v1, start(of: place, in: hierarchy) + rest))
        }
        return try ControlGroupEntrances(places)
    }

    /// Removes it, where the container came to nothing or was run to its end.
    public func release() throws(KernelError) {
        let paths = paths
        self.paths = ControlGroupPaths()
        directories = []
        try paths.remove()
    }
}

// MARK: - Making it

extension BundleControlGroup {
    private func make(
        at path: String, in hierarchies: [ControlGroupHierarchy]
    ) throws(KernelError) {
        let parts = try parts(of: path)
        let isPure = !self.hierarchies.contains { $0.version == .v1 }
        for hierarchy in hierarchies {
            do {
                try make(parts, from: start(of: path, in: hierarchy), in: hierarchy, isPure)
            } catch {
                guard mayGoWithout(error) else { throw error }
            }
        }
    }

    /// Nobody is to get out of where they may make cgroups; and the topmost is everyone's.
    private func parts(of path: String) throws(KernelError) -> [String] {
        let parts = plainNames(of: path)
        if parts.isEmpty {
            throw KernelError(
                "linux.cgroupsPath", path, .invalidArgument,
                remedy: "It names the topmost cgroup, which is every process's.")
        }
        return parts
    }

    private func start(of path: String, in hierarchy: ControlGroupHierarchy) -> String {
        if path.hasPrefix("/") || hierarchy.top == hierarchy.mountPoint {
            return hierarchy.mountPoint
        }
        if hierarchy.version == .v1 { return hierarchy.top }
        // In version 2 ours has processes in it, and so may not hand controllers down: a sibling.
        return join(Array(split(hierarchy.top, at: "/").dropLast()), with: "/")
    }

    private func make(
        _ parts: [String], from start: String, in hierarchy: ControlGroupHierarchy, _ isPure: Bool
    ) throws(KernelError) {
        let path = start + "/" + join(parts, with: "/")
        do throws(KernelError) {
            try makeDirectory(path, why: "the container's cgroup")
        } catch  where error.errno == .noSuchFile {
            try makeLevels(parts, from: start)
        } catch  where error.errno == .fileExists && fileType(path) == .directory {
            if scope == nil { try checkUnused(path) }
        }
        if paths.directories.last != path { paths.directories.append(path) }
        if hierarchy.version == .v1 {
            if hierarchy.controllers.contains("cpuset") {
                try fillCPUSets(parts, from: start)
            }
        } else {
            // Beside version 1 there is only what version 1 does not have.
            if isPure || needsController(of: hierarchy) {
                handDown(hierarchy.controllers, parts, from: start)
            }
            handle = try Descriptor.open(path, O_RDONLY | O_DIRECTORY).release()
            if let owner { try giveAway(path, to: owner) }
        }
        directories.append(ControlGroupDirectory(hierarchy.version, path))
    }

    /// The one level after the other; those that are new are noted, to be removed again.
    private func makeLevels(_ parts: [String], from start: String) throws(KernelError) {
        // Whoever removes a container beside it takes an empty level away under our feet.
        for attempt in 0... {
            var (path, made): (String, [String]) = (start, [])
            do throws(KernelError) {
                for (index, part) in parts.enumerated() {
                    path += "/" + part
                    if index < parts.count - 1 {
                        if fileType(path) != nil { continue }
                        made.append(path)
                    }
                    try makeDirectory(path, why: "the container's cgroup, a directory each level")
                }
                paths.parents += made
                return
            } catch {
                if error.errno != .noSuchFile || attempt == 10 || fileType(start) == nil {
                    paths.parents += made
                    throw error
                }
            }
        }
    }

    /// A cgroup that somebody else uses is not the container's: its limits would be theirs, and
    /// they would be killed with it.
    private func checkUnused(_ path: String) throws(KernelError) {
        let running = RunningControlGroup(directories: [path])
        let processes = running.processes()
        if !processes.isEmpty {
            throw KernelError(
                "container's cgroup is not empty: \(processes.count) process(es) found in", path,
                .busy, remedy: "End them, or give the container another linux.cgroupsPath.")
        }
        if running.isFrozen {
            throw KernelError(
                "container's cgroup unexpectedly frozen:", path, .busy,
                remedy: "Thaw it, or give the container another linux.cgroupsPath.")
        }
    }

    /// An ordinary user who asks for nothing gets a container without a cgroup.
    private func mayGoWithout(_ error: KernelError) -> Bool {
        guard [.accessDenied, .notPermitted, .readOnly].contains(error.errno) else { return false }
        return path == nil && !isMachinesRoot
    }
}

// MARK: - Version 1's CPU sets

extension BundleControlGroup {
    /// A cpuset of version 1 starts empty and takes no process before it is filled.
    private func fillCPUSets(_ parts: [String], from start: String) throws(KernelError) {
        for file in ["/cpuset.cpus", "/cpuset.mems"] {
            var path = start
            var above: String?
            for part in parts {
                let parent = path
                path += "/" + part
                var set = readControl(path + file)
                if set == "" {
                    let whole = above ?? readControl(parent + file) ?? ""
                    try writeControl(
                        path + file, whole, why: "in version 1 an empty set would take no process")
                    set = whole
                }
                above = set
            }
        }
    }
}

// MARK: - Version 2's controllers

extension BundleControlGroup {
    /// In version 2 a controller works in a cgroup where all above hand it down.
    ///
    /// What cannot be handed down is missed only where there is a limit for it: then the limit's
    /// file is missing, and the error says so.
    private func handDown(_ controllers: [String], _ parts: [String], from start: String) {
        // What lies above the start is others' to decide, and so is read, not written.
        var path = start
        for part in parts {
            let file = path + "/cgroup.subtree_control"
            let there = words(of: readControl(path + "/cgroup.controllers") ?? "")
            let enabled = words(of: readControl(file) ?? "")
            var missing: [String] = []
            for controller in there where !enabled.contains(controller) {
                missing.append("+" + controller)
            }
            if !missing.isEmpty { enable(missing, in: file) }
            path += "/" + part
        }
    }

    /// All in one write; where the kernel refuses one it refuses all, and each is tried alone.
    private func enable(_ controllers: [String], in file: String) {
        do throws(KernelError) {
            try writeControl(
                file, join(controllers, with: " "), why: "controllers for the cgroups below")
        } catch {
            guard controllers.count > 1 else { return }
            for controller in controllers { enable([controller], in: file) }
        }
    }

    private func needsController(of hierarchy: ControlGroupHierarchy) -> Bool {
        if !resources.unified.entries.isEmpty { return true }
        return !resources.hugePages.isEmpty && hierarchy.controllers.contains("hugetlb")
    }

    /// See runtime-spec, config-linux.md, "Cgroup ownership".
    private func giveAway(_ path: String, to owner: uid_t) throws(KernelError) {
        try changeOwner(path, user: owner, why: "it may make cgroups below its own")
        let files =
            readControl("/sys/kernel/cgroup/delegate")
            ?? "cgroup.procs\ncgroup.subtree_control\ncgroup.threads"
        for file in split(files, at: "\n") where fileType("\(path)/\(file)") != nil {
            try changeOwner("\(path)/\(file)", user: owner, why: "delegated with the cgroup")
        }
    }
}

// MARK: - Limits

extension BundleControlGroup {
    private func restrict() throws(KernelError) {
        let running = paths.running
        try running.apply(resources, isNew: true)
        if directories.isEmpty { return }
        try BundleDeviceRules(resources.devices).apply(
            in: directories, handle >= 0 ? handle : nil)
    }
}
