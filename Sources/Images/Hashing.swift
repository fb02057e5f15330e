import struct Crypto.SHA256
import Kernel
import OCISpec

/// The digest of some bytes in memory.
func digest(of bytes: some Collection<UInt8>) -> Digest {
    Digest(bytes: SHA256.hash(data: Array(bytes)))
}

/// Takes the digest of what is read through it.
final class HashingSource: ByteSource {
    private let source: any ByteSource
    private var hash = SHA256()

    init(_ source: any ByteSource) { self.source = source }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        let count = try source.read(into: buffer)
        hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        return count
    }

    /// The digest of everything read so far.
    var digest: Digest { Digest(bytes: hash.finalize()) }
}

/// Takes the digest of what is written through it.
final class HashingSink: ByteSink {
    private let sink: any ByteSink
    private var hash = SHA256()

    init(_ sink: any ByteSink) { self.sink = sink }

    func write(_ bytes: UnsafeRawBufferPointer) throws(KernelError) {
        hash.update(bufferPointer: bytes)
        try sink.write(bytes)
    }

    /// The digest of everything written so far.
    var digest: Digest { Digest(bytes: hash.finalize()) }
}
