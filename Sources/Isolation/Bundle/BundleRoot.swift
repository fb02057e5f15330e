import CLinux
import Glibc
import Kernel

/// The root file system of a bundle: a directory that becomes a mount, and then the root.
///
/// From here on the current directory is the root that is to be, and every path of the
/// configuration is looked up in it as if it were already; see `Descriptor.openInRoot`.
/// See runtime-spec, config.md, "Root".
public final class BundleRoot: Mechanism {
    /// As the narrator calls it.
    public let name = "bundle root"
    /// A new mount namespace, if the container has one of its own.
    public let namespaces: Namespaces
    /// Nothing of it is the host's to do.
    public let entersEarly = true
    private let rootfs: String

    /// - Parameters:
    ///   - rootfs: the directory on the host.
    ///   - isInNewNamespace: whether a mount namespace is made; another mechanism has joined
    ///     one where not.
    public init(_ rootfs: String, isInNewNamespace: Bool = true) {
        self.rootfs = rootfs
        namespaces = isInNewNamespace ? .mount : []
    }

    /// Refuses what cannot be a root, before anything is built.
    public func prepare() throws(KernelError) {
        try checkRootfs(rootfs)
        guard try resolvedPath(rootfs) != "/" else {
            throw KernelError(
                "open rootfs", rootfs, .invalidArgument,
                remedy: "The host's own root cannot be a container's: give a directory below it.")
        }
    }

    /// Cuts the namespace off and makes the directory a mount.
    ///
    /// Slaves, whatever propagation the configuration wants in the end: what is mounted in here
    /// must never reach the host, and `pivot_root(2)` refuses next to shared mounts. Mounts that
    /// are to be shared with the host were copied before; see ``BundleMounts``.
    public func enter() throws(KernelError) {
        try mount(
            nil, on: "/", [.recursive, .slave],
            why: "mounts made in here must not reach the host; the host's still come in")
        let tree = try cloneMount(
            rootfs, isRecursive: true, why: "a root has to be a mount: the directory once more")
        try attach(tree, on: rootfs, shell: nil, why: "on itself: hooks find it where it was")
        try changeDirectory(tree, why: "the root that is to be: every path begins here")
    }
}

/// How the mounts of a bundle propagate. See runtime-spec, config-linux.md, "Rootfs Mount
/// Propagation"; the forms with an `r` are runc's.
public enum RootPropagation {
    /// What `rootfsPropagation` asks for; empty where it asks for nothing.
    /// - Throws: `EINVAL` where there is none of that name.
    public static func flags(_ name: String) throws(KernelError) -> MountFlags {
        if name.isEmpty { return [] }
        if let flags = named(name) { return flags }
        throw KernelError(
            "rootfsPropagation", name, .invalidArgument,
            remedy: "There are shared, slave, private and unbindable.")
    }

    /// The one of this name, in mount(8)'s words; nil where there is none.
    static func named(_ name: String) -> MountFlags? {
        switch name {
        case "private": .private
        case "slave": .slave
        case "shared": .shared
        case "unbindable": .unbindable
        case "rprivate": [.private, .recursive]
        case "rslave": [.slave, .recursive]
        case "rshared": [.shared, .recursive]
        case "runbindable": [.unbindable, .recursive]
        default: nil
        }
    }

    /// What a copy of a host's mount becomes that has no option of its own: what it would be
    /// if it were copied after the namespace's mounts had been made so. Empty: a peer of the
    /// host's.
    static func forCopies(_ flags: MountFlags) -> MountFlags {
        if flags.contains(.shared) { return [] }
        return flags.isDisjoint(with: [.private, .unbindable]) ? .slave : .private
    }
}

/// What can be done to the root only once it is the root.
public struct FinishedBundleRoot: Mechanism {
    /// As the narrator calls it.
    public let name = "bundle root, finished"
    private let propagation: MountFlags
    private let isReadOnly: Bool
    private let mounts: [BundleMounts]

    /// - Parameters:
    ///   - propagation: of the root mount; see ``RootPropagation``.
    ///   - isReadOnly: `root.readonly`.
    ///   - mounts: those of which some are to become read-only at last.
    public init(propagation: MountFlags, isReadOnly: Bool, mounts: [BundleMounts]) {
        self.propagation = propagation
        self.isReadOnly = isReadOnly
        self.mounts = mounts
    }

    /// After everything that makes files and directories.
    public func enter() throws(KernelError) {
        if !propagation.isEmpty {
            try mount(nil, on: "/", propagation, why: "as the configuration wants it")
        }
        for part in mounts { try part.makeReadOnly() }
        guard isReadOnly else { return }
        let root = try Descriptor.open("/", CInt(linux_O_PATH) | O_DIRECTORY)
        // Not by a remount: it would have to name all that a user namespace may not take away.
        try changeMount(
            root, MountChange(adding: .readOnly), on: "/", why: "nothing in it can be changed")
    }
}
