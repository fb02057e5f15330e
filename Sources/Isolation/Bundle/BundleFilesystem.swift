import Kernel
import OCISpec

/// The file system of a bundle's container: what its config.json says of `root`, `mounts` and
/// `linux`'s devices, masks, read-only paths, labels and propagation.
///
/// In parts, because hooks run before the last one that still see the host's file system, with the
/// container's mounts below the rootfs' path. See runtime-spec, config.md, "POSIX-platform Hooks".
public struct BundleFilesystem {
    /// The directory that becomes the root; on the host.
    public var rootfs: String
    /// The bundle's directory, which relative sources of bind mounts begin at.
    public var bundle: String
    /// Where the process starts, absolute; made where it is missing.
    public var workingDirectory = "/"
    /// `root.readonly`.
    public var isReadOnly = false
    /// `mounts`, in their order.
    public var mounts: [RuntimeMount] = []
    /// `linux.devices`; those that every container has are added.
    public var devices: [RuntimeDevice] = []
    /// `linux.maskedPaths`.
    public var maskedPaths: [String] = []
    /// `linux.readonlyPaths`.
    public var readOnlyPaths: [String] = []
    /// `linux.rootfsPropagation`; see ``RootPropagation``.
    public var propagation: MountFlags = []
    /// `linux.mountLabel`; counts where SELinux does.
    public var mountLabel: String?
    /// The users of the container's user namespace, for `idmap` without mappings of its own.
    public var uidMappings: [RuntimeIDMapping] = []
    /// The groups likewise.
    public var gidMappings: [RuntimeIDMapping] = []
    /// The file of the user namespace that the container joins, if it joins one.
    public var userNamespacePath: String?
    /// Whether the mount namespace is a new one; another mechanism has joined one where not.
    public var hasNewMountNamespace = true
    /// The container's cgroup, which knows the host's hierarchies.
    public var controlGroup: BundleControlGroup?
    /// Whether the container has a cgroup namespace of its own.
    public var hasControlGroupNamespace = true
    /// Whether the root is changed by `pivot_root(2)`; see ``MovedRoot``.
    public var usesPivot = true

    /// The directory `rootfs` as it is, nothing mounted.
    public init(rootfs: String, bundle: String) {
        self.rootfs = rootfs
        self.bundle = bundle
    }

    /// Whether the container has a user namespace, new or joined.
    var hasUserNamespace: Bool { !uidMappings.isEmpty || userNamespacePath != nil }

    /// The whole list, in three parts that share some state: what needs nothing of the host, what
    /// needs the container's cgroup, and what is done once the root is the root.
    ///
    /// After the first part the current directory is the root that is to be. Hooks come behind the
    /// second.
    public func mechanisms() -> (
        early: [any Mechanism], mounts: [any Mechanism], after: [any Mechanism]
    ) {
        let first = mounts.prefix { !$0.showsControlGroup }
        let early = BundleMounts(first, of: self)
        let late = BundleMounts(mounts.dropFirst(first.count), of: self)
        var after: [any Mechanism] =
            usesPivot ? [PivotRoot(), DetachHostRoot()] : [MovedRoot(rootfs)]
        after.append(MadeStartingDirectory(workingDirectory))
        after.append(BundleReadOnlyPaths(readOnlyPaths))
        after.append(BundleMaskedPaths(maskedPaths))
        after.append(
            FinishedBundleRoot(
                propagation: propagation, isReadOnly: isReadOnly, mounts: [early, late]))
        return (
            [BundleRoot(rootfs, isInNewNamespace: hasNewMountNamespace), early],
            [late, BundleDevices(self)], after
        )
    }
}
