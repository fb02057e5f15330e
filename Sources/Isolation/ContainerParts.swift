import Kernel

/// What a container is made of, in the parts that the stages of the book add.
///
///     stage 3   file system
///     stage 4               network
///     stage 5                         identity
///     stage 6                                    limits
///     stage 7                                             privileges
///
/// Where a part is nil, the sandbox has the host's.
public struct ContainerParts: Sendable {
    /// Mounts, volumes, the working directory.
    public var filesystem: ContainerFilesystem
    /// Links, addresses, published ports.
    public var network: ContainerNetwork?
    /// Names, shared memory, ids, clocks.
    public var identity: ContainerIdentity?
    /// What it may use of the machine.
    public var limits: ContainerLimits?
    /// As whom the command runs, and what it may do.
    public var privileges: ContainerPrivileges?

    /// Stage 3; the other parts are added one by one.
    public init(_ filesystem: ContainerFilesystem) { self.filesystem = filesystem }

    // book: begin parts-list
    /// The whole list, in the only order that works.
    ///
    /// - Parameters:
    ///   - name: the host name where no other is asked for.
    ///   - lower: the layers of the root file system, topmost first.
    ///   - upper: where the writes go.
    ///   - group: the cgroup, where the caller has an eye on it.
    /// - Throws: `EINVAL` where a request is none.
    public func mechanisms(
        named name: String, lower: [String], upper: OverlayRoot.UpperLayer,
        in group: ControlGroup? = nil
    ) throws(KernelError) -> [any Mechanism] {
        let group = group ?? controlGroup(named: randomName())
        let hostName = identity?.hostName(or: name)
        let files = network?.files(hostName: hostName)
        // First of all: the other namespaces are to belong to the user namespace.
        var list = identity?.first ?? []
        // Before the mounts: they show the cgroup and the network of whoever makes them.
        if let group { list.append(group) }
        if let network, let files { list += try network.mechanisms(files) }
        list += try filesystemMechanisms(lower, upper, group, files)
        if let identity { list += try identity.mechanisms(named: name) }
        // Last of all: everything above needs privileges.
        if let privileges { list += try privileges.mechanisms() }
        return list
    }
    // book: end parts-list

    /// The cgroup that ``limits`` ask for, where there are any.
    public func controlGroup(named name: String) -> ControlGroup? {
        guard var limits else { return nil }
        if isPrivileged {
            limits.allowsEveryDevice = true
            // In a user namespace nobody may make nodes.
            let mayMakeNodes = isInFirstUserNamespace && identity?.hasUserNamespace != true
            if mayMakeNodes { limits.devices += HostDevice.all() }
        }
        return limits.controlGroup(named: name)
    }

    private var isPrivileged: Bool { privileges?.isPrivileged ?? false }

    private func filesystemMechanisms(
        _ lower: [String], _ upper: OverlayRoot.UpperLayer, _ group: ControlGroup?,
        _ files: NetworkFiles?
    ) throws(KernelError) -> [any Mechanism] {
        let hasUserNamespace = identity?.hasUserNamespace ?? false
        var filesystem = filesystem
        if hasUserNamespace { filesystem.isInUserNamespace = true }
        if isPrivileged { filesystem.hasMasks = false }
        let root: any Mechanism =
            if let copy = filesystem.copiedRoot {
                CopiedRoot(copy, mapsOwners: hasUserNamespace)
            } else {
                OverlayRoot(
                    lower: lower, upper: upper, mapsOwners: hasUserNamespace,
                    context: privileges?.seLinux?.files)
            }
        return try filesystem.mechanisms(on: root, in: group, showing: files)
    }
}
