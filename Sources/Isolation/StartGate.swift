import CLinux
import Glibc
import Kernel

/// Where a sandbox waits that has been created and not yet started.
///
/// A named pipe in the host's file system: the sandbox reads from it, and whoever starts it,
/// perhaps days later and in another process, writes a byte. See `fifo(7)`.
///
/// The sandbox holds it open in both directions. So it need not wait for a writer to open it, and
/// who writes can tell by `ENXIO` that nobody is there any more. It is closed by `execve(2)`, which
/// tells the writer that the command runs.
public final class StartGate: Mechanism {
    /// As the narrator calls it.
    public let name = "start gate"
    private let pipe: Descriptor

    /// Makes the pipe.
    public init(at path: String) throws(KernelError) {
        guard mkfifo(path, 0o600) == 0 else { throw KernelError("mkfifo", path, .current) }
        pipe = try Descriptor.open(path, O_RDWR)
    }

    /// What ``SandboxedProcess/startGate`` is set to.
    public var number: CInt { pipe.number }

    /// What the sandbox reads from.
    public var descriptors: [CInt] { [number] }

    /// Waits until it is opened. See `read(2)`.
    static func wait(at number: CInt) throws(KernelError) {
        var byte: UInt8 = 0
        var count = -1
        repeat { count = read(number, &byte, 1) } while count < 0 && current_errno() == EINTR
        guard count == 1 else { throw KernelError("read", "the start gate", .current) }
    }

    // book: begin gate-open
    /// Lets the sandbox that waits at `path` go, and waits until its command runs, or has failed to.
    /// - Throws: `ENXIO` where nobody waits, `ENOENT` where it is let go already.
    public static func open(at path: String) throws(KernelError) {
        let pipe = try Descriptor.open(path, O_WRONLY | O_NONBLOCK)
        // Gone first: by it others tell a container that is created from one that runs.
        guard unlink(path) == 0 else { throw KernelError("unlink", path, .current) }
        try pipe.write([0])
        var request = pollfd(fd: pipe.number, events: 0, revents: 0)
        while poll(&request, 1, -1) < 0 && current_errno() == EINTR {}
    }
    // book: end gate-open
}
