import Kernel

/// What a container's file system consists of beside its layers.
public struct ContainerFilesystem: Sendable {
    /// The host's directories and files that show in it.
    public var volumes: [Volume] = []
    /// File systems in memory.
    public var temporary: [String] = []
    /// Whether the root cannot be written.
    public var isReadOnly = false
    /// A directory that is the root by itself; nil for an overlay over layers.
    public var copiedRoot: String?
    /// Where the command starts.
    public var workingDirectory = "/"
    /// Whether the command gets a terminal.
    public var hasTerminal = false
    /// Whether what concerns the whole machine is masked or read-only.
    public var hasMasks = true
    /// Whether the sandbox's root is root of a user namespace only.
    public var isInUserNamespace = !isInFirstUserNamespace

    /// The usual: a writable root and nothing added.
    public init() {}

    // book: begin container-list
    /// Everything from the mount namespace on, in the only order that works.
    ///
    /// - Parameters:
    ///   - root: mounts the root file system and makes it the current directory.
    ///   - group: the cgroup that shows in it.
    ///   - files: what the network adds to /etc.
    /// - Throws: `EINVAL` where a request is none.
    public func mechanisms(
        on root: any Mechanism, in group: ControlGroup? = nil, showing files: NetworkFiles? = nil
    ) throws(KernelError) -> [any Mechanism] {
        let volumes = Volumes(volumes, files: files)
        let borrowed = isInUserNamespace ? BorrowedMounts() : nil
        var list: [(any Mechanism)?] = [
            MountNamespace(),
            root,
            PivotRoot(),
            // The sources of volumes are all that is needed of the host.
            volumes,
            // In a user namespace more is needed.
            borrowed,
            DetachHostRoot(),
            ClosedDescriptors(),
            // From here on a path leads nowhere but into the new root.
            PIDNamespace(),
            ProcFilesystem(borrowed),
            DeviceFilesystem(hasConsole: hasTerminal, borrowed),
            HostDevices(group?.devices ?? []),
            SysFilesystem(borrowed, isReadOnly: hasMasks),
            ControlGroupFilesystem(of: group),
            try TemporaryFilesystems(parsing: temporary),
            AttachedVolumes(volumes),
        ]
        // After what they cover is there; masks need the new /dev/null.
        if hasMasks { list += [MaskedPaths(), ReadOnlyPaths()] as [(any Mechanism)?] }
        if workingDirectory != "/" { list.append(try WorkingDirectory(workingDirectory)) }
        // Last: everything above may make directories to mount on.
        if isReadOnly { list.append(ReadOnlyRoot()) }
        return list.compactMap { $0 }
    }
    // book: end container-list
}
