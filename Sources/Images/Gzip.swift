import CZlib
import Glibc
import Kernel

/// 15 bits of window, which is the most, and 16 for a gzip header instead of zlib's own.
private let gzipWindow: CInt = 15 + 16

/// Unpacks gzip as it is read. See RFC 1952.
///
/// Several members after each other are one file, as `pigz` and others write them.
public final class GzipSource: ByteSource {
    private let source: any ByteSource
    private let name: String
    private let input = WorkBuffer()
    // zlib keeps this address and checks it, so it has to stay where it is.
    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private var isBetweenMembers = false
    private var isDone = false

    /// Errors call the source `name`.
    public init(_ source: any ByteSource, named name: String) {
        self.source = source
        self.name = name
        stream.initialize(to: z_stream())
        inflateInit2_(stream, gzipWindow, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size))
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    /// Fills some of `buffer` with what was packed; 0 at the end.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        stream.pointee.next_out = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(buffer.count)
        while !isDone && Int(stream.pointee.avail_out) == buffer.count {
            try refill()
            if isBetweenMembers { try startNextMember() } else { try inflateSome() }
        }
        return buffer.count - Int(stream.pointee.avail_out)
    }

    private func refill() throws(KernelError) {
        guard stream.pointee.avail_in == 0 else { return }
        let count = try source.read(into: input.bytes)
        stream.pointee.next_in = input.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_in = UInt32(count)
        if count > 0 { return }
        guard isBetweenMembers else {
            throw corrupt(name, "The compressed data end too early.")
        }
        isDone = true
    }

    private func inflateSome() throws(KernelError) {
        switch inflate(stream, Z_NO_FLUSH) {
        case Z_OK, Z_BUF_ERROR: break
        case Z_STREAM_END: isBetweenMembers = true
        case Z_MEM_ERROR: throw KernelError("unpack", name, Errno(rawValue: ENOMEM))
        default: throw corrupt(name, "The compressed data are damaged.")
        }
    }

    /// What follows a member is the next one, or zeros that fill up a block of tape.
    private func startNextMember() throws(KernelError) {
        guard !isDone, let next = stream.pointee.next_in else { return }
        if next.pointee == 0 {
            stream.pointee.next_in = next + 1
            stream.pointee.avail_in -= 1
        } else {
            inflateReset(stream)
            isBetweenMembers = false
        }
    }
}

/// Packs what is written to it as gzip.
///
/// There is no time and no name in the header, so the same bytes always give the same blob.
public final class GzipSink: PackingSink {
    private let sink: any ByteSink
    private let output = WorkBuffer()
    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

    /// `level` 1 packs at twice the speed of the usual 6 and a tenth larger. An import
    /// is waited for, and its layer seldom travels.
    public init(_ sink: any ByteSink, level: CInt = 1) {
        self.sink = sink
        stream.initialize(to: z_stream())
        deflateInit2_(
            stream, level, Z_DEFLATED, gzipWindow, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            CInt(MemoryLayout<z_stream>.size))
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// Packs all of `bytes`, and holds some of it back.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(KernelError) {
        if bytes.isEmpty { return }
        let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.next_in = UnsafeMutablePointer(mutating: start)
        stream.pointee.avail_in = UInt32(bytes.count)
        while stream.pointee.avail_in > 0 { _ = try deflateSome(Z_NO_FLUSH) }
    }

    /// Writes what is still held back, and the check sum.
    public func finish() throws(KernelError) {
        while try deflateSome(Z_FINISH) != Z_STREAM_END {}
    }

    private func deflateSome(_ flush: CInt) throws(KernelError) -> CInt {
        stream.pointee.next_out = output.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(WorkBuffer.size)
        let result = deflate(stream, flush)
        guard result == Z_OK || result == Z_STREAM_END else {
            throw KernelError("pack", "gzip", Errno(rawValue: ENOMEM))
        }
        let count = WorkBuffer.size - Int(stream.pointee.avail_out)
        try sink.write(UnsafeRawBufferPointer(rebasing: output.bytes[..<count]))
        return result
    }
}
