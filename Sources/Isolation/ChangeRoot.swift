import Kernel

/// Another root directory. See `chroot(2)`.
///
/// The oldest of the mechanisms, and no wall: it changes where a path that begins with `/`
/// begins, and nothing else. A process with privileges climbs out (chapter 1 does).
public struct ChangeRoot: Mechanism {
    /// As the narrator calls it.
    public let name = "change root"
    private let rootfs: String

    /// Makes `rootfs` the root directory of the sandbox.
    public init(to rootfs: String) { self.rootfs = rootfs }

    /// Refuses what cannot be a root, before anything is built.
    public mutating func prepare() throws(KernelError) { try checkRootfs(rootfs) }

    // book: begin chroot-enter
    /// Changes the root, and then the current directory.
    public func enter() throws(KernelError) {
        try changeRoot(rootfs, why: "paths that begin with / now begin here")
        // chroot(2) leaves the current directory where it was: outside the new root.
        try changeDirectory("/", shell: false, why: "or the current directory stays outside")
    }
    // book: end chroot-enter
}

/// Says what is wrong with a root file system in the user's own words.
/// - Throws: `ENOENT` or `ENOTDIR`.
public func checkRootfs(_ path: String) throws(KernelError) {
    switch fileType(path) {
    case .directory: return
    case nil:
        throw KernelError(
            "open rootfs", path.isEmpty ? "\"\"" : path, .noSuchFile,
            remedy: "Give a directory that holds a root file system; `labs/make-rootfs DIR`"
                + " makes one.")
    default:
        throw KernelError(
            "open rootfs", path, .notDirectory,
            remedy: "Unpack it first: a root file system is a directory.")
    }
}
