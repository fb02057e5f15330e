import CLinux
import Glibc
import Kernel
import OCISpec

/// The `mounts` of a bundle. See runtime-spec, config.md, "Mounts".
///
/// Sources are the host's: they are looked up before the root changes, where a symbolic link means
/// what the host's user means. If a user namespace would be in the way they are copied on the host,
/// before there is a container. Places are the container's. Each is opened with the container's
/// root as the end of the world, and mounted on without looking at the path again.
public final class BundleMounts: Mechanism {
    /// As the narrator calls it.
    public let name = "bundle mounts"
    private let settings: BundleFilesystem
    private let mounts: ArraySlice<RuntimeMount>
    private var plan: [PlannedMount] = []
    private var label: String?
    /// Those that become read-only when everything on them has been made.
    private var unfinished: [(mount: CInt, path: String)] = []

    /// Whether the sandbox need not be in its cgroup to make them.
    public let entersEarly: Bool

    /// Makes these, of the mounts of `settings`.
    init(_ mounts: ArraySlice<RuntimeMount>, of settings: BundleFilesystem) {
        self.mounts = mounts
        self.settings = settings
        entersEarly = !mounts.contains(where: \.showsControlGroup)
    }

    /// The options that it knows and that are not a file system's own.
    public static var options: [String] { MountOptions.names }

    /// The copies of the sources.
    public var descriptors: [CInt] {
        var numbers: [CInt] = []
        for planned in plan { if let source = planned.source { numbers.append(source) } }
        return numbers
    }

    /// Reads the options and copies the sources of bind mounts.
    public func prepare() throws(KernelError) {
        // Elsewhere the kernel takes no label, and nobody would look at it.
        if fileType("/sys/fs/selinux/mls") != nil { label = settings.mountLabel }
        let sources = BindSources(settings)
        for mount in mounts {
            var planned = PlannedMount(mount)
            if planned.isBind {
                try planned.checkOptions()
                if sources.areCopiedOnHost(for: planned) {
                    planned.source = try copyOnHost(planned, sources)
                }
            } else if planned.options.ownerMapping != .none || !mount.uidMappings.isEmpty {
                throw KernelError(
                    "mount", mount.destination, .invalidArgument,
                    remedy: "Owners can be mapped on bind mounts only.")
            }
            plan.append(planned)
        }
    }

    /// An ordinary user may mount in the container's namespaces only: there it is done then.
    ///
    /// - Returns: nil where it is still to be copied.
    private func copyOnHost(
        _ planned: PlannedMount, _ sources: BindSources
    ) throws(KernelError) -> CInt? {
        do { return try sources.copy(planned).release() } catch {
            let isMapped =
                planned.options.ownerMapping != .none || !planned.mount.uidMappings.isEmpty
            guard error.errno == .notPermitted, settings.hasUserNamespace, !isMapped,
                settings.hasNewMountNamespace
            else { throw error }
            return nil
        }
    }

    /// The sandbox has its own descriptors of the copies; ours would keep them in use.
    public func adopt(_ child: ProcessID) throws(KernelError) { closeSources() }

    /// Lets go of what was copied.
    public func release() throws(KernelError) { closeSources() }

    private func closeSources() {
        for index in plan.indices {
            if let source = plan[index].source.take() { _ = Descriptor(owning: source) }
        }
    }

    /// Makes each mount, in the configuration's order: later ones may lie on earlier ones.
    public func enter() throws(KernelError) {
        for index in plan.indices {
            let source = plan[index].source.take()
            let planned = plan[index]
            do throws(KernelError) {
                if let source {
                    try bind(planned, Descriptor(owning: source))
                } else if planned.isBind {
                    try bind(planned, try BindSources(settings).copy(planned))
                } else if planned.options.isRemount {
                    try remount(planned)
                } else {
                    try makeFilesystem(planned)
                }
            } catch {
                if planned.isBind && error.operation == "bind mount" { throw error }
                throw error.renamed(
                    error.operation == "mount"
                        ? "mount \(planned.what) on"
                        : "mount \(planned.what) on \(planned.mount.destination): "
                            + error.operation,
                    error.object)
            }
        }
    }

    private func bind(
        _ planned: PlannedMount, _ source: consuming Descriptor
    ) throws(KernelError) {
        let path = planned.mount.destination
        let status = try fileStatus(of: source, planned.mount.source)
        let isDirectory = status.st_mode & S_IFMT == S_IFDIR
        let place = try MountPlace(path, isDirectory: isDirectory)
        try place.check(showing: source)
        _ = try put(source, on: place, planned)
    }

    private func makeFilesystem(_ planned: PlannedMount) throws(KernelError) {
        let mount = planned.mount
        switch mount.type {
        case "":
            throw KernelError(
                "mount", mount.destination, .invalidArgument,
                remedy: "It has no type, and `bind` is not among its options.")
        case _ where mount.showsControlGroup:
            let place = try MountPlace(mount.destination)
            try place.check(type: mount.type)
            let groups = ControlGroupMounts(
                planned, hasNamespace: settings.hasControlGroupNamespace,
                known: settings.hasNewMountNamespace
                    ? settings.controlGroup?.hierarchies ?? [] : [], rootfs: settings.rootfs)
            let tree = try put(try groups.make(), on: place, planned)
            try groups.fill()
            guard planned.options.attributes.adding.contains(.readOnly) else { return }
            try finish(tree, mount.destination)
        default:
            let place = try MountPlace(
                mount.destination, isKernels: mount.type == "proc" || mount.type == "sysfs")
            try place.check(type: mount.type)
            let new = NewFilesystem(planned, label: label, coversNothing: place.isNew)
            let tree = try put(try new.make(for: place.descriptor), on: place, planned)
            if planned.isFinishedLate { unfinished.append((tree.release(), mount.destination)) }
        }
    }

    /// Attaches a mount, and what can be said only of an attached one.
    private func put(
        _ tree: consuming Descriptor, on place: borrowing MountPlace, _ planned: PlannedMount
    ) throws(KernelError) -> Descriptor {
        let path = planned.mount.destination
        let isRoot = try place.isRoot()
        do throws(KernelError) {
            try attach(tree, at: place.descriptor, path, why: "it appears in the container")
        } catch  where error.errno == .invalidArgument {
            throw error.advising(
                "Is a directory being mounted on a file, or a file on a directory?")
        }
        for propagation in planned.options.propagation {
            try changeMount(
                tree, MountChange(propagation: propagation.subtracting(.recursive)),
                isRecursive: propagation.contains(.recursive), on: path,
                why: "how mounts on it propagate")
        }
        if isRoot { try changeDirectory(tree, why: "the new mount is what paths begin at now") }
        return tree
    }

    private func remount(_ planned: PlannedMount) throws(KernelError) {
        let path = planned.mount.destination
        let place = try Descriptor.openInRoot(path, CInt(linux_O_PATH))
        if !planned.options.data.isEmpty {
            let context = try FilesystemContext(
                of: place, path, why: "the file system that is mounted there")
            for (name, value) in planned.options.data {
                try context.set(name, to: value, why: "an option of its own")
            }
            try context.reconfigure(why: "with these options")
        }
        if !planned.options.attributes.isEmpty {
            try changeMount(place, planned.options.attributes, on: path, why: "as asked for")
        }
        if !planned.options.treeAttributes.isEmpty {
            try changeMount(
                place, planned.options.treeAttributes, isRecursive: true, on: path,
                why: "and those below it")
        }
    }

    /// What was left writable for those who had to write on it.
    func makeReadOnly() throws(KernelError) {
        for entry in unfinished { try finish(Descriptor(owning: entry.mount), entry.path) }
        unfinished = []
    }

    private func finish(
        _ mount: borrowing Descriptor, _ path: String
    ) throws(KernelError) {
        try changeMount(
            mount, MountChange(adding: .readOnly), on: path,
            why: "all that had to be made on it is there")
    }
}

extension RuntimeMount {
    /// Whether it shows the cgroups from the one on that the container is in.
    var showsControlGroup: Bool { type == "cgroup" || type == "cgroup2" }
}

/// An entry of `mounts`, with its options sorted and its source at hand.
struct PlannedMount {
    let mount: RuntimeMount
    let options: MountOptions
    /// A copy of what is to be shown, open; for bind mounts.
    var source: CInt?

    init(_ mount: RuntimeMount) {
        self.mount = mount
        options = MountOptions(mount.options, type: mount.type)
    }

    /// Whether it shows something of the host's a second time.
    var isBind: Bool { options.isBind && !options.isRemount }

    /// Options of a file system's own mean nothing where one is shown that is there already. But
    /// who maps owners in another runtime's way, by `idmap=`, must not be left without.
    /// - Throws: `EINVAL` where that is asked for.
    func checkOptions() throws(KernelError) {
        for (name, value) in options.data where ["idmap", "ridmap"].contains(name) {
            throw KernelError(
                "mount", mount.destination, .invalidArgument,
                remedy: "\(name)=\(value ?? "") is not known here: give the mount uidMappings and"
                    + " gidMappings.")
        }
    }

    /// What an error calls it.
    var what: String { options.isBind ? mount.source : mount.type }

    /// Nodes are made in a /dev, and other mounts' places in a tmpfs: those come first.
    var isFinishedLate: Bool {
        guard !options.isBind, options.attributes.adding.contains(.readOnly) else { return false }
        return mount.type == "tmpfs"
            || MountPlace.normalized(mount.destination) == "/dev"
    }

    /// What a new file system's mount begins with.
    var firstAttributes: MountAttributes {
        var all = options.attributes.adding.union(options.treeAttributes.adding)
        all.remove(.mapsOwners)
        if isFinishedLate { all.remove(.readOnly) }
        return all
    }
}
