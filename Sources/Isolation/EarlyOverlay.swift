import Glibc
import Kernel

/// An ordinary user's overlay, mounted before there is a sandbox.
///
/// Some kernels let no user namespace mount an overlay (before 5.11), and none puts an upper layer
/// on every file system. fuse-overlayfs does the same as a program, more slowly. Such a program
/// has to run outside the sandbox, and what it mounts has to be there when the sandbox is born.
/// An ordinary user's owner process has mounts of its own (see ``OrdinaryUser``), which the
/// sandbox gets a copy of.
struct EarlyOverlay {
    private let target: String
    private var program: RunningHelper?

    // book: begin early-overlay
    /// Mounts it: by the kernel where it will, else by fuse-overlayfs.
    init(of union: LayeredMount, on target: String) throws(KernelError) {
        self.target = target
        do throws(KernelError) {
            try union.mount(
                on: target,
                why: "one tree out of the layers; here, since another program may have to do it")
        } catch {
            let unable: [Errno] = [.notPermitted, .invalidArgument, .noSuchDevice]
            guard unable.contains(error.errno) else { throw error }
            program = try Self.start(on: target, union.options, insteadOf: error)
        }
    }
    // book: end early-overlay

    /// Takes it away; it goes with the last of its copies.
    func release() throws(KernelError) {
        try unmount(target, lazily: true, why: "the sandbox and its copy are gone")
        try program?.stop()
    }

    private static func start(
        on target: String, _ options: String, insteadOf error: KernelError
    ) throws(KernelError) -> RunningHelper {
        guard let program = HelperProgram("fuse-overlayfs"),
            access("/dev/fuse", R_OK | W_OK) == 0
        else {
            throw error.advising(
                "The kernel makes no overlay for an ordinary user there. fuse-overlayfs (`sudo"
                    + " apt-get install fuse-overlayfs`) does, with a /dev/fuse open to everyone;"
                    + " or set HULL_ROOT to a directory on ext4, xfs, btrfs or tmpfs.")
        }
        let helper = try program.start(
            ["-f", "-o", options, target], errors: nil,
            why: "the kernel will not: a program that does the same")
        while helper.waits(milliseconds: 2) {
            if try isMountPoint(target) { return helper }
        }
        try helper.stop()
        throw error.advising("Neither does fuse-overlayfs; see `hull doctor`.")
    }
}
