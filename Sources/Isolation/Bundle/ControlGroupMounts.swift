import CLinux
import Glibc
import Kernel

/// /sys/fs/cgroup of a bundle: `type: cgroup`, whatever versions the host has.
///
/// Version 2 alone is one file system. Otherwise there is a directory for each hierarchy in a
/// tmpfs, and links for those that share one (`cpu` leads to `cpu,cpuacct`).
struct ControlGroupMounts {
    private let planned: PlannedMount
    private let hasNamespace: Bool
    private let isUnified: Bool
    private let known: [ControlGroupHierarchy]
    private let rootfs: String

    /// - Parameters:
    ///   - hasNamespace: whether the container has a cgroup namespace of its own.
    ///   - known: the host's hierarchies, where they have been looked for already.
    ///   - rootfs: where the container's own mounts are.
    init(
        _ planned: PlannedMount, hasNamespace: Bool, known: [ControlGroupHierarchy],
        rootfs: String
    ) {
        self.rootfs = rootfs
        self.known = known
        self.planned = planned
        self.hasNamespace = hasNamespace
        isUnified = planned.mount.type == "cgroup2" || Self.hostIsUnified
    }

    /// Whether the host's /sys/fs/cgroup, which can still be seen, is of version 2.
    private static var hostIsUnified: Bool {
        guard let top = try? Descriptor.open("/sys/fs/cgroup", CInt(linux_O_PATH)) else {
            return true
        }
        return FilesystemKind(of: top) == .controlGroups
    }

    private var path: String { planned.mount.destination }

    /// What is mounted at the place itself.
    func make() throws(KernelError) -> Descriptor {
        if isUnified { return try makeUnified() }
        let context = try FilesystemContext("tmpfs", why: "a directory for each hierarchy")
        try context.set("source", to: "tmpfs", why: "what it is called in mountinfo")
        try context.set("mode", to: "755", why: "root's to write")
        try context.create(why: "made as it was chosen")
        // Read-only, if at all, when the hierarchies are in it.
        return try context.mount(
            with: attributes.subtracting(.readOnly).union([
                .noSetUID, .noDevices, .noExecution,
            ]), why: "a mount of it, at no place as yet")
    }

    /// Root of a user namespace may mount version 2 only in a cgroup namespace of its own; without
    /// one it is shown what the host has mounted.
    private func makeUnified() throws(KernelError) -> Descriptor {
        do { return try mount(type: "cgroup2", options: []) } catch {
            guard error.errno == .notPermitted && !hasNamespace else { throw error }
            return try show("/sys/fs/cgroup")
        }
    }

    /// Puts the hierarchies in, once the tmpfs is in its place.
    func fill() throws(KernelError) {
        if isUnified { return }
        let directory = try Descriptor.openInRoot(
            path, CInt(linux_O_PATH) | O_DIRECTORY)
        // Without a namespace it is shown which cgroup it is in now, and not before.
        let hierarchies =
            hasNamespace && !known.isEmpty
            ? known : try ControlGroupHierarchy.mounted(outside: rootfs)
        for hierarchy in hierarchies { try add(hierarchy, to: directory) }
    }

    private func add(
        _ hierarchy: ControlGroupHierarchy, to directory: borrowing Descriptor
    ) throws(KernelError) {
        guard let name = split(hierarchy.mountPoint, at: "/").last else { return }
        let number = directory.number
        try makeDirectory(name, at: number, why: "a directory for a hierarchy")
        let place = try Descriptor.open(name, CInt(linux_O_PATH) | O_NOFOLLOW, at: number)
        let tree =
            if !hasNamespace {
                try show(hierarchy.top)
            } else if hierarchy.version == .v2 {
                try mount(type: "cgroup2", options: [])
            } else {
                try mount(type: "cgroup", options: hierarchy.controllers)
            }
        try attach(tree, at: place, path + "/" + name, why: "limits and usage")
        if hierarchy.controllers.count == 1 || hierarchy.version == .v2 { return }
        for controller in hierarchy.controllers where controller != name {
            try makeSymbolicLink(
                controller, at: number, to: name, why: "where programs look for it")
        }
    }

    /// A mount of a hierarchy. The container's cgroup namespace makes its own cgroup the top.
    private func mount(
        type: String, options: [String]
    ) throws(KernelError) -> Descriptor {
        let context = try FilesystemContext(type, why: "limits and usage")
        try context.set("source", to: "cgroup", why: "what it is called in mountinfo")
        for option in options {
            let parts = split(option, at: "=")
            try context.set(
                parts[0], to: parts.count == 2 ? parts[1] : nil, why: "which of the hierarchies")
        }
        try context.create(why: "the hierarchy that is there already")
        return try context.mount(with: attributes, why: "a mount of it, at no place as yet")
    }

    private var attributes: MountAttributes {
        planned.options.attributes.adding.union(planned.options.treeAttributes.adding)
    }

    /// A directory of a hierarchy a second time. In version 1 it is the container's own: without a
    /// namespace a mount of the hierarchy would show the whole machine's.
    private func show(_ directory: String) throws(KernelError) -> Descriptor {
        let tree = try cloneMount(
            directory, isRecursive: false, why: "what is mounted there, a second time")
        var change = MountChange(adding: attributes)
        change.propagation = .private
        if !change.adding.isDisjoint(with: .accessTimes) { change.removing = .accessTimes }
        try changeMount(tree, change, on: directory, why: "as asked for")
        return tree
    }
}
