import CLinux
import Glibc

/// A number by which the kernel says why a call failed. See `errno(3)`.
public struct Errno: RawRepresentable, Hashable, Sendable {
    /// The kernel's own number, such as 2 for `ENOENT`.
    public let rawValue: Int32

    /// Takes the kernel's number as it is.
    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// What the last failed call of this thread left behind.
    ///
    /// Read it before anything that may allocate: the next call overwrites it.
    public static var current: Errno { Errno(rawValue: current_errno()) }

    /// The symbol, such as `ENOENT`.
    public var name: String {
        guard let name = errno_name(rawValue) else { return "errno \(rawValue)" }
        return String(cString: name)
    }

    /// What it means, in the C library's words. See `strerror(3)`.
    public var meaning: String { String(cString: strerror(rawValue)) }
}

extension Errno {
    /// Operation not permitted.
    public static let notPermitted = Errno(rawValue: EPERM)
    /// No such file or directory.
    public static let noSuchFile = Errno(rawValue: ENOENT)
    /// A signal came before the call was done.
    public static let interrupted = Errno(rawValue: EINTR)
    /// Input/output error; on a pseudoterminal, the other end is gone.
    public static let inputOutput = Errno(rawValue: EIO)
    /// The descriptor is not open.
    public static let badDescriptor = Errno(rawValue: EBADF)
    /// Nothing there yet; ask again.
    public static let wouldBlock = Errno(rawValue: EAGAIN)
    /// Permission denied.
    public static let accessDenied = Errno(rawValue: EACCES)
    /// Device or resource busy.
    public static let busy = Errno(rawValue: EBUSY)
    /// File exists.
    public static let fileExists = Errno(rawValue: EEXIST)
    /// Not a directory.
    public static let notDirectory = Errno(rawValue: ENOTDIR)
    /// Is a directory.
    public static let isDirectory = Errno(rawValue: EISDIR)
    /// Invalid argument.
    public static let invalidArgument = Errno(rawValue: EINVAL)
    /// No space left on device.
    public static let noSpace = Errno(rawValue: ENOSPC)
    /// Read-only file system.
    public static let readOnly = Errno(rawValue: EROFS)
    /// The file is not in a format the kernel can execute.
    public static let notExecutable = Errno(rawValue: ENOEXEC)
    /// The directory still has entries.
    public static let notEmpty = Errno(rawValue: ENOTEMPTY)
    /// A number does not fit; from overlayfs, an owner whom the user namespace does not know.
    public static let unknownOwner = Errno(rawValue: EOVERFLOW)
    /// There is no such kind of device, or of file system.
    public static let noSuchDevice = Errno(rawValue: ENODEV)
    /// The number is out of range.
    public static let outOfRange = Errno(rawValue: ERANGE)
    /// The process is gone.
    public static let noSuchProcess = Errno(rawValue: ESRCH)
    /// Nobody is there to read any more.
    public static let brokenPipe = Errno(rawValue: EPIPE)
    /// The kernel does not have this call.
    public static let notImplemented = Errno(rawValue: ENOSYS)
}
