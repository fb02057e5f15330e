import CLinux
import Glibc
import Kernel

/// A root that cannot be climbed out of: not another starting point for paths, as with
/// `chroot(2)`, but another root *mount*. See `pivot_root(2)`.
///
/// The current directory has to be a mount; it becomes the root. The host's root is kept as the
/// current directory for those that need something of the host's, until ``DetachHostRoot``.
/// It is stacked on the new root, and `/..` leads to it: what looks paths up in the sandbox,
/// with all the symbolic links of its image, has to come after that.
public struct PivotRoot: Mechanism {
    /// As the narrator calls it.
    public let name = "pivot root"

    /// Nothing has to be chosen.
    public init() {}

    // book: begin pivot-enter
    /// Swaps the roots and steps back into the old one.
    public func enter() throws(KernelError) {
        let host = try Descriptor.open("/", O_RDONLY | O_DIRECTORY)
        try pivotRoot(why: "the new root mount, with the old one stacked upon it")
        try changeDirectory(host, why: "volumes come from the host's root: keep it at hand")
    }
    // book: end pivot-enter
}

/// The end of the host's file system, as far as the sandbox is concerned.
///
/// After the last mechanism that needs something of the host's.
public struct DetachHostRoot: Mechanism {
    /// As the narrator calls it.
    public let name = "detach host"

    /// Nothing has to be chosen.
    public init() {}

    // book: begin detach-enter
    /// Unmounts the host's root, which is the current directory, and goes to the new root.
    public func enter() throws(KernelError) {
        try detachOldRoot(why: "with no mount of the host's there is nowhere to climb to")
        try changeDirectory("/", shell: false, why: "the only root there is")
    }
    // book: end detach-enter
}
