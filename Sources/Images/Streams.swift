import Glibc
import Kernel

/// Bytes that are asked for, piece by piece: a file, or another source unpacked.
public protocol ByteSource: AnyObject {
    /// Fills some of `buffer`; 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int
}

/// Takes bytes, piece by piece: a file, or another sink behind a compressor.
public protocol ByteSink: AnyObject {
    /// Takes all of `bytes`.
    func write(_ bytes: UnsafeRawBufferPointer) throws(KernelError)
}

/// Memory that a stream works in. Streams never hold more than a few of these.
final class WorkBuffer {
    static let size = 128 << 10
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
    deinit { bytes.deallocate() }
}

extension ByteSource {
    /// Passes everything on.
    func copy(to sink: some ByteSink) throws(KernelError) {
        let buffer = WorkBuffer()
        while true {
            let count = try read(into: buffer.bytes)
            if count == 0 { return }
            try sink.write(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
        }
    }

    /// Reads to the end and throws everything away.
    func drain() throws(KernelError) {
        let buffer = WorkBuffer()
        while try read(into: buffer.bytes) > 0 {}
    }
}

/// An open file as a source.
final class FileSource: ByteSource {
    private let file: Descriptor
    private let name: String
    private let progress: (Int) -> Void
    private var done = 0

    /// Reads `file`, which errors call `name`; `progress` hears how many bytes are done.
    init(
        _ file: consuming Descriptor, named name: String,
        progress: @escaping (Int) -> Void = { _ in }
    ) {
        self.file = file
        self.name = name
        self.progress = progress
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        while true {
            let count = Glibc.read(file.number, buffer.baseAddress, buffer.count)
            if count >= 0 {
                done += count
                progress(done)
                return count
            }
            let errno = Errno.current
            if errno != .interrupted { throw KernelError("read", name, errno) }
        }
    }
}

/// A source whose first bytes have been looked at already.
final class PeekedSource: ByteSource {
    /// The first bytes; fewer than asked for only where there are no more.
    let head: [UInt8]
    private var given = 0
    private let source: any ByteSource

    init(_ source: any ByteSource, count: Int) throws(KernelError) {
        self.source = source
        var head: [UInt8] = []
        let buffer = WorkBuffer()
        while head.count < count {
            let piece = UnsafeMutableRawBufferPointer(
                rebasing: buffer.bytes[..<(count - head.count)])
            let got = try source.read(into: piece)
            if got == 0 { break }
            head += piece[..<got]
        }
        self.head = head
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        if given == head.count { return try source.read(into: buffer) }
        let piece = head[given...].prefix(buffer.count)
        buffer.copyBytes(from: piece)
        given += piece.count
        return piece.count
    }
}

/// An open file as a sink.
public final class FileSink: ByteSink {
    private let file: Descriptor
    private let name: String

    /// Writes `file`, which errors call `name`.
    public init(_ file: consuming Descriptor, named name: String) {
        self.file = file
        self.name = name
    }

    /// Writes all of `bytes`. See `write(2)`.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(KernelError) {
        var done = 0
        while done < bytes.count {
            let put = Glibc.write(
                file.number, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            if put >= 0 {
                done += put
                continue
            }
            let errno = Errno.current
            if errno != .interrupted { throw KernelError("write", name, errno) }
        }
    }
}
