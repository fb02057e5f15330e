import Glibc
import Kernel
import OCISpec

/// Copies of what bind mounts show. See `open_tree(2)`.
struct BindSources {
    private let settings: BundleFilesystem

    init(_ settings: BundleFilesystem) { self.settings = settings }

    /// Whether the container could not make the copy itself: its root may not get to the source,
    /// or another mount namespace has something else there, or maps of owners are the host's to
    /// give, or it is to share with the host what is mounted on it.
    ///
    /// The others are made where they are mounted, and so are in the order of the configuration
    /// in mountinfo.
    func areCopiedOnHost(for planned: PlannedMount) -> Bool {
        settings.hasUserNamespace || !settings.hasNewMountNamespace
            || settings.propagation.contains(.shared)
            || planned.options.ownerMapping != .none || !planned.mount.uidMappings.isEmpty
    }

    /// A copy that is attached nowhere, with all the attributes that it is to have.
    func copy(_ planned: PlannedMount) throws(KernelError) -> Descriptor {
        let mount = planned.mount
        let source =
            mount.source.hasPrefix("/") ? mount.source : settings.bundle + "/" + mount.source
        let tree: Descriptor
        do throws(KernelError) {
            tree = try cloneMount(
                source, isRecursive: planned.options.isRecursive,
                why: "the host's files a second time, at no place as yet")
        } catch {
            throw error.renamed("bind mount", source).advising(
                error.errno == .noSuchFile ? "The source has to exist: make it first." : "")
        }
        try restrict(tree, planned, source)
        return tree
    }

    /// While it is attached nowhere: there is no moment at which more would be allowed.
    private func restrict(
        _ tree: borrowing Descriptor, _ planned: PlannedMount, _ source: String
    ) throws(KernelError) {
        let options = planned.options
        let namespace = try ownerNamespace(planned)
        var all = options.treeAttributes
        all.propagation = RootPropagation.forCopies(settings.propagation)
        if options.ownerMapping == .tree { all.mapOwners(namespace) }
        if !all.isEmpty {
            try changeMount(
                tree, all, isRecursive: true, on: source,
                why: "a copy of a shared mount is shared with it: what is mounted on it would be")
        }
        var top = options.attributes
        let isMapped = options.ownerMapping == .mount || !planned.mount.uidMappings.isEmpty
        if isMapped && options.ownerMapping != .tree { top.mapOwners(namespace) }
        if top.isEmpty { return }
        try changeMount(tree, top, on: source, why: "what the container may do with it")
    }

    /// The user namespace by whose maps owners are to be shown; nil where they stay.
    private func ownerNamespace(_ planned: PlannedMount) throws(KernelError) -> Descriptor? {
        let mount = planned.mount
        if !mount.uidMappings.isEmpty {
            return try makeNamespace(mount.uidMappings, mount.gidMappings)
        }
        if planned.options.ownerMapping == .none { return nil }
        if let path = settings.userNamespacePath { return try Descriptor.open(path, O_RDONLY) }
        guard !settings.uidMappings.isEmpty else {
            throw KernelError(
                "idmap", mount.destination, .invalidArgument,
                remedy: "Neither the mount has mappings nor the container a user namespace.")
        }
        return try makeNamespace(settings.uidMappings, settings.gidMappings)
    }

    /// A user namespace for its maps alone: nobody will ever be in it.
    private func makeNamespace(
        _ users: [RuntimeIDMapping], _ groups: [RuntimeIDMapping]
    ) throws(KernelError) -> Descriptor {
        let holder = try NamespaceHolder(
            of: .user, shell: "", why: "maps for a mount are a user namespace's")
        let directory = "/proc/\(holder.process.rawValue)"
        try tellKernel(
            users.map(\.idMap).text, in: directory + "/uid_map", why: "which users are which")
        try tellKernel(
            groups.map(\.idMap).text, in: directory + "/gid_map", why: "which groups are which")
        return try Descriptor.open(directory + "/ns/user", O_RDONLY)
    }
}

extension MountChange {
    fileprivate mutating func mapOwners(_ namespace: borrowing Descriptor?) {
        guard let number = namespace.number else { return }
        adding.insert(.mapsOwners)
        userNamespace = number
    }
}

extension Optional where Wrapped == Descriptor {
    /// The kernel's number, where there is one.
    fileprivate var number: CInt? {
        switch self {
        case .some(let descriptor): descriptor.number
        case .none: nil
        }
    }
}
