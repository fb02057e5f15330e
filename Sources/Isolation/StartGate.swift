import CLinux
import Glibc
import Kernel

/// Where a sandbox waits that has been created and not yet started.
///
/// A named pipe in the host's file system: the sandbox reads from it, and whoever starts it,
/// perhaps days later and in another process, writes a byte. See `fifo(7)`.
///
/// The sandbox holds it open in both directions. So it need not wait for a writer to open it, and
/// who writes can tell by `ENXIO` that nobody is there any more.
public struct StartGate: ~Copyable {
    private let pipe: Descriptor

    /// Makes the pipe.
    public init(at path: String) throws(KernelError) {
        guard mkfifo(path, 0o600) == 0 else { throw KernelError("mkfifo", path, .current) }
        pipe = try Descriptor.open(path, O_RDWR)
    }

    /// What ``SandboxedProcess/startGate`` is set to, while this is there.
    public var number: CInt { pipe.number }

    /// Waits until it is opened. See `read(2)`.
    static func wait(at number: CInt) throws(KernelError) {
        var byte: UInt8 = 0
        var count = -1
        repeat { count = read(number, &byte, 1) } while count < 0 && current_errno() == EINTR
        guard count == 1 else { throw KernelError("read", "the start gate", .current) }
        close(number)
    }

    /// Lets the sandbox that waits at `path` go.
    /// - Throws: `ENXIO` where nobody waits, `ENOENT` where it is let go already.
    public static func open(at path: String) throws(KernelError) {
        let pipe = try Descriptor.open(path, O_WRONLY | O_NONBLOCK)
        try pipe.write([0])
        unlink(path)
    }
}
