import Glibc
import Kernel

/// Passes on up to so many bytes: a few kilobytes of compressed zeros unpack to any size.
final class LimitedSource: ByteSource {
    private let source: any ByteSource
    private let name: String
    private let limit: Int
    private var left: Int

    init(_ source: any ByteSource, named name: String, limit: Int) {
        self.source = source
        self.name = name
        self.limit = limit
        left = limit
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        let count = try source.read(into: buffer)
        left -= count
        guard left >= 0 else {
            throw KernelError(
                "unpack", name, Errno(rawValue: EFBIG),
                remedy: "It has more than \(limit) bytes; if that is right, set HULL_UNPACK_LIMIT.")
        }
        return count
    }
}
