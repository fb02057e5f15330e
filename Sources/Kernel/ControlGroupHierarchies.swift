import CLinux
import Glibc

/// A mounted hierarchy of cgroups, and where in it this process may make some. See `cgroups(7)`.
///
/// In version 2 there is one for all controllers. In version 1 each controller has one of its
/// own, and on a hybrid host the two kinds are mounted side by side.
public struct ControlGroupHierarchy: Equatable, Sendable {
    /// The two interfaces that the kernel has.
    public enum Version: Sendable {
        /// One hierarchy for each controller.
        case v1
        /// One for all.
        case v2
    }

    /// Which interface its files have.
    public let version: Version
    /// What it can limit: `memory`, `cpu`, `pids` …
    public let controllers: [String]
    /// Where it is mounted.
    public let mountPoint: String
    /// The topmost cgroup that this process may manage: the root of the hierarchy for root, the
    /// one that was delegated for an ordinary user.
    public let top: String
}

extension ControlGroupHierarchy {
    /// Those in which this process may make cgroups; version 2 first, then by mount.
    ///
    /// - Parameter parent: the cgroup to make them in, below the topmost; only hierarchies that
    ///   have it count then.
    /// - Throws: `ENOENT` where none has it.
    public static func usable(
        below parent: String? = nil
    ) throws(KernelError) -> [ControlGroupHierarchy] {
        let all = try usable()
        guard let parent else { return all }
        let within = all.compactMap { $0.below(parent) }
        if within.isEmpty {
            throw KernelError(
                "cgroup parent", parent, .noSuchFile,
                remedy: "Name a cgroup that is there, seen from the topmost that you may manage.")
        }
        return within
    }

    /// All that are mounted, those too that only count or name; version 2 first, then by mount.
    ///
    /// ``top`` is the cgroup that this process is in.
    /// - Parameter rootfs: a directory in which copies of them may be mounted, and do not count.
    public static func mounted(
        outside rootfs: String? = nil
    ) throws(KernelError) -> [ControlGroupHierarchy] {
        let own = OwnControlGroups(try readFile("/proc/self/cgroup"))
        var v1: [ControlGroupHierarchy] = []
        var v2: [ControlGroupHierarchy] = []
        for mount in controlGroupMounts(try readFile("/proc/self/mountinfo"), allControllers) {
            if let rootfs, mount.mountPoint.hasPrefix(rootfs + "/") { continue }
            let path = own.path(in: mount)
            let isSeen = path != "/" && !split(path, at: "/").contains("..")
            let top = isSeen ? mount.mountPoint + path : mount.mountPoint
            if mount.version == .v2 {
                guard v2.isEmpty else { continue }
                v2.append(mount.hierarchy(controllers: controllersV2(mount.mountPoint), top))
            } else if !v1.contains(where: { $0.controllers == mount.controllers }) {
                v1.append(mount.hierarchy(controllers: mount.controllers, top))
            }
        }
        return v2 + v1
    }

    private static func usable() throws(KernelError) -> [ControlGroupHierarchy] {
        let own = OwnControlGroups(try readFile("/proc/self/cgroup"))
        var v1: [ControlGroupHierarchy] = []
        var v2: [ControlGroupHierarchy] = []
        for mount in controlGroupMounts(try readFile("/proc/self/mountinfo"), knownControllers) {
            guard let top = topmostWritable(mount, own.path(in: mount)) else { continue }
            if mount.version == .v2 {
                // Mounted twice, it is still the same one.
                guard v2.isEmpty else { continue }
                v2.append(mount.hierarchy(controllers: controllersV2(top), top))
            } else if !v1.contains(where: { $0.controllers == mount.controllers }) {
                v1.append(mount.hierarchy(controllers: mount.controllers, top))
            }
        }
        return v2 + v1
    }

    // book: begin topmost
    /// The first cgroup on the way down to our own that we may manage.
    ///
    /// Above it is somebody else's part of the tree: a service manager's, or that of the host of
    /// the container that we are in. See `cgroups(7)`, "Cgroups delegation".
    private static func topmostWritable(_ mount: ControlGroupMount, _ own: String) -> String? {
        var path = mount.mountPoint
        if mayManage(path) { return path }
        for part in split(own, at: "/") where !part.isEmpty {
            path += "/" + part
            if mayManage(path) { return path }
        }
        return nil
    }

    /// Whoever may make cgroups here and move processes within.
    private static func mayManage(_ path: String) -> Bool {
        faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0
            && faccessat(AT_FDCWD, path + "/cgroup.procs", W_OK, AT_EACCESS) == 0
    }
    // book: end topmost

    private func below(_ parent: String) -> ControlGroupHierarchy? {
        if split(parent, at: "/").contains("..") { return nil }
        let path = "\(top)/\(parent)"
        guard Self.mayManage(path) else { return nil }
        let controllers = version == .v2 ? Self.controllersV2(path) : controllers
        return ControlGroupHierarchy(
            version: version, controllers: controllers, mountPoint: mountPoint, top: path)
    }

    private static func controllersV2(_ path: String) -> [String] {
        words(of: readControl("\(path)/cgroup.controllers") ?? "")
    }
}

/// One line of mountinfo that mounts cgroups.
private struct ControlGroupMount {
    let version: ControlGroupHierarchy.Version
    let controllers: [String]
    let mountPoint: String
    /// Which cgroup of the hierarchy it shows at its top.
    let root: String

    func hierarchy(controllers: [String], _ top: String) -> ControlGroupHierarchy {
        ControlGroupHierarchy(
            version: version, controllers: controllers, mountPoint: mountPoint, top: top)
    }
}

/// See `proc_pid_mountinfo(5)`; of version 1 only those hierarchies that have one of `wanted`.
private func controlGroupMounts(_ mountinfo: [UInt8], _ wanted: [String]) -> [ControlGroupMount] {
    var mounts: [ControlGroupMount] = []
    for line in lines(of: mountinfo, holding: " - cgroup") {
        let words = split(line, at: " ")
        guard let dash = words.firstIndex(of: "-"), words.count == dash + 4 else { continue }
        let isV2 = words[dash + 1] == "cgroup2"
        let controllers = isV2 ? [] : controllers(in: words[dash + 3], wanted)
        if !isV2 && controllers.isEmpty { continue }
        mounts.append(
            ControlGroupMount(
                version: isV2 ? .v2 : .v1, controllers: controllers, mountPoint: words[4],
                root: words[3]))
    }
    return mounts
}

/// Those of version 1 that a sandbox of the engine's is limited by.
private let knownControllers = [
    "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids",
]

/// All that version 1 has had.
private let allControllers =
    knownControllers + ["net_cls", "net_prio", "perf_event", "hugetlb", "rdma", "misc"]

/// A hierarchy without controllers has a name, as the service manager's `name=systemd`.
private func controllers(in options: String, _ wanted: [String]) -> [String] {
    var found: [String] = []
    for option in split(options, at: ",") {
        let isName = option.hasPrefix("name=") && wanted.count == allControllers.count
        if isName || wanted.contains(option) { found.append(option) }
    }
    return found
}

/// /proc/self/cgroup: in which cgroup of each hierarchy this process is.
private struct OwnControlGroups {
    private let entries: [(controllers: [String], path: String)]

    init(_ file: [UInt8]) {
        var entries: [([String], String)] = []
        for line in lines(of: file, holding: ":") {
            let parts = split(line, at: ":")
            guard parts.count >= 3 else { continue }
            // The path comes last and may hold colons itself.
            let path = join(Array(parts.dropFirst(2)), with: ":")
            entries.append((parts[1].isEmpty ? [] : split(parts[1], at: ","), path))
        }
        self.entries = entries
    }

    /// Relative to the mount point; empty where our cgroup is not below what is mounted.
    func path(in mount: ControlGroupMount) -> String {
        let entry = entries.first { entry in
            mount.version == .v2
                ? entry.controllers.isEmpty
                : mount.controllers.allSatisfy { entry.controllers.contains($0) }
        }
        guard let path = entry?.path else { return "" }
        if mount.root == "/" { return path }
        return path.hasPrefix(mount.root + "/") ? String(path.dropFirst(mount.root.count)) : ""
    }
}

private func lines(of file: [UInt8], holding text: StaticString) -> [String] {
    var found: [String] = []
    var start = 0
    for index in file.indices where file[index] == UInt8(ascii: "\n") {
        let line = file[start..<index]
        start = index + 1
        if holds(line, text) { found.append(String(decoding: line, as: UTF8.self)) }
    }
    return found
}

private func holds(_ line: ArraySlice<UInt8>, _ text: StaticString) -> Bool {
    line.withUnsafeBytes { line in
        memmem(line.baseAddress, line.count, text.utf8Start, text.utf8CodeUnitCount) != nil
    }
}
