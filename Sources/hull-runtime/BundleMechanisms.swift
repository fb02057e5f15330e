import Isolation
import Kernel
import OCISpec
import Terminal

/// The translation: a bundle's configuration becomes a list of mechanisms.
///
/// All that the book has explained comes together here, under the names that the specification
/// has for it. See runtime-spec, `config.md` and `config-linux.md`.
struct BundleMechanisms {
    private let bundle: Bundle
    private let configuration: RuntimeConfiguration
    private let options: Arguments
    private let maps: IDMaps?
    private let group: BundleControlGroup
    private let hookState: HookState
    /// What is kept for later commands.
    let record: ContainerRecord

    /// - Throws: what the configuration asks for and nobody can give.
    init(
        _ bundle: Bundle, _ directory: ContainerDirectory, _ options: Arguments,
        manager: ControlGroupManager
    ) throws(KernelError) {
        self.bundle = bundle
        configuration = bundle.configuration
        self.options = options
        let linux = configuration.linux
        try ConfigurationCheck(configuration).run()
        maps = try linux.ownsNew(.user) ? IDMaps(linux) : nil
        group = BundleControlGroup(
            path: linux.controlGroupPath, id: directory.id, linux.resources, manager: manager,
            hasNamespace: linux.ownsNew(.cgroup),
            owner: configuration.showsWritableControlGroup ? maps?.root : nil,
            mayBeMadeLate: linux.namespace(.user) == nil && linux.ownsNew(.mount))
        hookState = HookState(
            version: configuration.version, id: directory.id, bundle: bundle.directory,
            annotations: configuration.annotations)
        record = ContainerRecord(
            in: directory, of: bundle, group: group, isKept: options.has("keep"))
    }

    // book: begin bundle-list
    /// Everything, in the only order that works.
    func list() throws(KernelError) -> [any Mechanism] {
        let linux = configuration.linux
        let filesystem = try filesystem()
        var list: [any Mechanism] = []
        // First of all: the other namespaces are to belong to the user namespace.
        if let maps { list.append(UserNamespace(maps)) }
        let joined = linux.joined
        if !joined.isEmpty { list.append(JoinedNamespaces(joined, isBornAsUser: maps != nil)) }
        list.append(NewNamespaces(linux.new))
        if linux.ownsNew(.network) {
            list.append(EmptyNetwork(isMadeInside: linux.networkIsMadeInside))
        }
        if let name = configuration.hostname { list.append(try HostName(name, isJoined: true)) }
        if let name = configuration.domainname { list.append(DomainName(name)) }
        list.append(ClosedDescriptors())
        // The host's paths still count: there are the sources of all that is mounted.
        list += filesystem.early
        // Until here the sandbox needs nothing of the host, and is at work while the host makes
        // its cgroup.
        list += [group, record, Affinity()]
        if !linux.networkDevices.isEmpty {
            list.append(
                MovedLinks(linux.networkDevices, joining: linux.namespace(.network)?.path))
        }
        list += filesystem.mounts
        list.append(try KernelSettings(linux.kernelParameters, own: linux.own))
        list.append(HostHooks(configuration.hooks, telling: hookState))
        list.append(
            ContainerHooks(
                configuration.hooks, telling: hookState, in: bundle.rootfs,
                startingWith: configuration.process?.environment ?? []))
        // From here on a path leads nowhere but into the new root.
        list += filesystem.after
        if linux.ownsNew(.time) { list.append(TimeNamespace(offsets: linux.timeOffsets)) }
        guard let process = configuration.process else { return list }
        list += try process.attributes(behind: linux)
        list.append(StartingDirectory(process.workingDirectory))
        // Last of all: everything above needs privileges.
        list += try privileges(of: process).mechanisms()
        return list
    }
    // book: end bundle-list

    /// What runs in it.
    func process() throws(KernelError) -> SandboxedProcess {
        try configuration.process.map { process throws(KernelError) in
            try process.sandboxed()
        } ?? SandboxedProcess([], environment: [])
    }

    /// What is done to its files without the host, before the hooks, and behind them.
    private func filesystem() throws(KernelError) -> (
        early: [any Mechanism], mounts: [any Mechanism], after: [any Mechanism]
    ) {
        // In the host's mount namespace nothing may be mounted, and the root is everyone's.
        if configuration.linux.namespace(.mount) == nil {
            return (
                [], [],
                [ChangeRoot(to: bundle.rootfs), MadeStartingDirectory(workingDirectory)]
            )
        }
        return try mounts().mechanisms()
    }

    private func mounts() throws(KernelError) -> BundleFilesystem {
        let linux = configuration.linux
        var filesystem = BundleFilesystem(rootfs: bundle.rootfs, bundle: bundle.directory)
        filesystem.isReadOnly = configuration.rootIsReadOnly
        filesystem.workingDirectory = workingDirectory
        filesystem.mounts = configuration.mounts
        filesystem.devices = linux.devices
        filesystem.maskedPaths = linux.maskedPaths
        filesystem.readOnlyPaths = linux.readOnlyPaths
        filesystem.propagation = try RootPropagation.flags(linux.rootPropagation ?? "")
        filesystem.mountLabel = linux.mountLabel
        filesystem.uidMappings = linux.userMappings
        filesystem.gidMappings = linux.groupMappings
        filesystem.userNamespacePath = linux.namespace(.user)?.path
        filesystem.hasNewMountNamespace = linux.ownsNew(.mount)
        filesystem.controlGroup = group
        filesystem.hasControlGroupNamespace = linux.namespace(.cgroup) != nil
        filesystem.usesPivot = !options.has("no-pivot")
        return filesystem
    }

    private var workingDirectory: String { configuration.process?.workingDirectory ?? "/" }

    private func privileges(of process: RuntimeProcess) throws(KernelError) -> ContainerPrivileges {
        var privileges = try ContainerPrivileges(
            of: process, behind: configuration.linux, telling: hookState)
        privileges.hasOwnKeyring = !options.has("no-new-keyring")
        return privileges
    }
}

extension RuntimeConfiguration {
    /// Whether cgroups can be made in the container. See runtime-spec, `config-linux.md`,
    /// "Cgroup ownership".
    fileprivate var showsWritableControlGroup: Bool {
        linux.ownsNew(.cgroup)
            && mounts.contains { $0.type.hasPrefix("cgroup") && !$0.options.contains("ro") }
    }
}

extension RuntimeLinux {
    /// Whether the container has a new namespace of this kind.
    func ownsNew(_ kind: RuntimeNamespace.Kind) -> Bool {
        namespace(kind).map { $0.path == nil } ?? false
    }

    /// Those that are made with the process. The others need to be told what they are first.
    fileprivate var new: Namespaces {
        var kinds = Namespaces()
        for namespace in namespaces where namespace.path == nil {
            if namespace.kind == .time || namespace.kind == .cgroup || namespace.kind == .user {
                continue
            }
            if namespace.kind == .network && networkIsMadeInside { continue }
            kinds.formUnion(namespace.kind.flag)
        }
        return kinds
    }

    /// Whether nobody needs the network before the sandbox has begun. The kernel makes networks
    /// slowly.
    fileprivate var networkIsMadeInside: Bool { networkDevices.isEmpty }

    /// All that are not the host's.
    fileprivate var own: Namespaces {
        namespaces.reduce(into: Namespaces()) { $0.formUnion($1.kind.flag) }
    }

    /// Those of others.
    fileprivate var joined: [(kind: Namespaces, path: String)] {
        namespaces.compactMap { namespace in namespace.path.map { (namespace.kind.flag, $0) } }
    }
}

extension RuntimeNamespace.Kind {
    /// The kernel's bit for it.
    var flag: Namespaces {
        switch self {
        case .pid: .pid
        case .network: .network
        case .mount: .mount
        case .ipc: .ipc
        case .uts: .uts
        case .user: .user
        case .cgroup: .cgroup
        case .time: .time
        }
    }
}

extension IDMaps {
    /// - Throws: `EINVAL` where there are none.
    fileprivate init(_ linux: RuntimeLinux) throws(KernelError) {
        if linux.userMappings.isEmpty || linux.groupMappings.isEmpty {
            throw KernelError(
                "user namespace", "without mappings", .invalidArgument,
                remedy: "Give linux.uidMappings and linux.gidMappings.")
        }
        try self.init(
            users: linux.userMappings.map(\.idMap), groups: linux.groupMappings.map(\.idMap))
    }
}

extension IDMaps {
    /// Who the container's root is on the host.
    fileprivate var root: UInt32? { users.first { $0.inside == 0 }?.outside }
}
