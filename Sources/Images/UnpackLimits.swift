import Glibc
import Kernel

/// How much an archive may become, so that a small one cannot fill the disk.
///
/// A thousand bytes of zeros are one byte of gzip: a layer of ten megabytes may hold ten
/// gigabytes, or ten million empty files.
public struct UnpackLimits: Equatable, Sendable {
    /// How many bytes the archive may have when it is unpacked.
    public var size = 32 << 30
    /// How many files may be in it.
    public var entries = 2_000_000

    /// 32 GiB and two million files.
    public init() {}

    /// What `HULL_UNPACK_LIMIT` (a size such as `100G`) and `HULL_UNPACK_FILES` say; without
    /// them the usual limits.
    public static func environment() throws(KernelError) -> UnpackLimits {
        var limits = UnpackLimits()
        if let text = variable("HULL_UNPACK_LIMIT") {
            guard let size = ByteSize.parse(text), size > 0 else {
                throw KernelError(
                    "HULL_UNPACK_LIMIT", "'\(text)'", .invalidArgument,
                    remedy: "It is a number of bytes, or one with k, m, g or t behind it.")
            }
            limits.size = size
        }
        if let text = variable("HULL_UNPACK_FILES") {
            guard let count = Int(text), count > 0 else {
                throw KernelError(
                    "HULL_UNPACK_FILES", "'\(text)'", .invalidArgument,
                    remedy: "It is a number of files.")
            }
            limits.entries = count
        }
        return limits
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    func tooLarge(_ name: String) -> KernelError {
        KernelError(
            "unpack", name, Errno(rawValue: EFBIG),
            remedy: "It becomes more than \(ByteSize.text(size)); if you trust it, set "
                + "HULL_UNPACK_LIMIT to a larger size, such as 100G.")
    }

    func tooMany(_ name: String) -> KernelError {
        KernelError(
            "unpack", name, Errno(rawValue: EFBIG),
            remedy: "It holds more than \(entries) files; if you trust it, set "
                + "HULL_UNPACK_FILES to a larger number.")
    }
}

/// Passes bytes on until there are more than the limit.
final class LimitedSource: ByteSource {
    private let source: any ByteSource
    private let name: String
    private let limits: UnpackLimits
    private var done = 0

    init(_ source: any ByteSource, named name: String, _ limits: UnpackLimits) {
        (self.source, self.name, self.limits) = (source, name, limits)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        let count = try source.read(into: buffer)
        done += count
        if done > limits.size { throw limits.tooLarge(name) }
        return count
    }
}
