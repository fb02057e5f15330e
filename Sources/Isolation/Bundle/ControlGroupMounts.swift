import CLinux
import Glibc
import Kernel

/// /sys/fs/cgroup of a bundle: `type: cgroup`, whatever versions the host has.
///
/// Version 2 alone is one file system. Otherwise there is a directory for each hierarchy in a
/// tmpfs, and links for those that share one (`cpu` leads to `cpu,cpuacct`).
struct ControlGroupMounts {
    private let settings: BundleFilesystem
    private let planned: PlannedMount
    private let isUnified: Bool

    init(_ settings: BundleFilesystem, _ planned: PlannedMount) {
        self.settings = settings
        self.planned = planned
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
        if isUnified {
            let path = settings.controlGroups().first?.path
            return try mount(type: "cgroup2", option: nil, or: path)
        }
        let context = try FilesystemContext("tmpfs", why: "a directory for each hierarchy")
        try context.set("source", to: "tmpfs", why: "what it is called in mountinfo")
        try context.set("mode", to: "755", why: "root's to write")
        try context.create(why: "made as it was chosen")
        // Read-only, if at all, when the hierarchies are in it.
        return try context.mount(
            with: attributes.subtracting(.readOnly).union([
                .noSetUID, .noDevices, .noExecution,
            ]),
            why: "a mount of it, at no place as yet")
    }

    /// Puts the hierarchies in, once the tmpfs is in its place.
    func fill() throws(KernelError) {
        if isUnified { return }
        for group in settings.controlGroups() { try add(group) }
    }

    private func add(_ group: BundleFilesystem.ControlGroupDirectory) throws(KernelError) {
        let target = path + "/" + group.name
        let place = try makePlaceInRoot(
            target, followsLinks: false, why: "a directory for a hierarchy")
        let tree: Descriptor
        switch group.name {
        case "unified": tree = try mount(type: "cgroup2", option: nil, or: group.path)
        case "systemd":
            tree = try mount(type: "cgroup", option: "name=systemd", or: group.path)
        default: tree = try mount(type: "cgroup", option: group.name, or: group.path)
        }
        try attach(tree, at: place, target, why: "limits and usage")
        let names = split(group.name, at: ",")
        if names.count == 1 { return }
        let directory = try Descriptor.openInRoot(
            path, CInt(linux_O_PATH) | O_DIRECTORY)
        for name in names {
            try makeSymbolicLink(
                name, at: directory.number, to: group.name, why: "where programs look for it")
        }
    }

    /// A mount of a hierarchy, or of the container's own directory in it.
    ///
    /// A cgroup namespace makes the container's own cgroup the top of what is mounted. Without one
    /// a mount would show the whole machine's, so the directory is shown a second time instead,
    /// as it is where a user namespace may not mount one.
    private func mount(
        type: String, option: String?, or directory: String?
    ) throws(KernelError) -> Descriptor {
        do throws(KernelError) {
            if !settings.hasControlGroupNamespace, directory != nil, type == "cgroup" || !isUnified
            {
                return try show(directory)
            }
            let context = try FilesystemContext(type, why: "limits and usage")
            try context.set("source", to: "cgroup", why: "what it is called in mountinfo")
            try choose(option, in: context)
            try context.create(why: "the hierarchy that is there already")
            return try context.mount(
                with: attributes, why: "a mount of it, at no place as yet")
        } catch  where directory != nil {
            do throws(KernelError) { return try show(directory) } catch let second {
                _ = second
                throw error
            }
        }
    }

    private func choose(
        _ option: String?, in context: borrowing FilesystemContext
    ) throws(KernelError) {
        guard let option else { return }
        let parts = split(option, at: "=")
        if parts.count == 2 {
            return try context.set(parts[0], to: parts[1], why: "a hierarchy without a controller")
        }
        for controller in split(option, at: ",") {
            try context.set(controller, why: "the controller's hierarchy")
        }
    }

    private var attributes: MountAttributes {
        planned.options.attributes.adding.union(planned.options.treeAttributes.adding)
    }

    private func show(_ directory: String?) throws(KernelError) -> Descriptor {
        let directory = directory ?? ""
        let tree = try cloneMount(
            directory, isRecursive: false, why: "the container's own cgroup, a second time")
        var change = MountChange(adding: attributes)
        change.propagation = .private
        if !change.adding.isDisjoint(with: .accessTimes) { change.removing = .accessTimes }
        try changeMount(tree, change, on: directory, why: "as asked for")
        return tree
    }
}
