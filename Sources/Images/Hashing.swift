import struct Crypto.SHA256
import struct Crypto.SHA512
import Kernel
import OCISpec

/// Takes the digest of bytes that come piece by piece.
public struct ContentHasher: Sendable {
    // In optionals and not in an enum: what is switched over is copied before it is changed.
    private var sha256: SHA256?
    private var sha512: SHA512?

    /// Of no bytes yet.
    public init(_ algorithm: Digest.Algorithm = .sha256) {
        switch algorithm {
        case .sha256: sha256 = SHA256()
        case .sha512: sha512 = SHA512()
        }
    }

    /// Takes `bytes` in.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        sha256?.update(bufferPointer: bytes)
        sha512?.update(bufferPointer: bytes)
    }

    /// The digest of everything so far.
    public var digest: Digest {
        if let sha512 { return Digest(.sha512, bytes: sha512.finalize()) }
        return Digest(bytes: (sha256 ?? SHA256()).finalize())
    }
}

/// The digest of some bytes in memory.
func digest(
    of bytes: some Collection<UInt8>, _ algorithm: Digest.Algorithm = .sha256
) -> Digest {
    var hash = ContentHasher(algorithm)
    Array(bytes).withUnsafeBytes { hash.update($0) }
    return hash.digest
}

/// Takes the digest of what is read through it.
final class HashingSource: ByteSource {
    private let source: any ByteSource
    private var hash: ContentHasher

    init(_ source: any ByteSource, _ algorithm: Digest.Algorithm = .sha256) {
        self.source = source
        hash = ContentHasher(algorithm)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        let count = try source.read(into: buffer)
        hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        return count
    }

    /// The digest of everything read so far.
    var digest: Digest { hash.digest }
}

/// Takes the digest of what is written through it.
final class HashingSink: ByteSink {
    private let sink: any ByteSink
    private var hash: ContentHasher

    init(_ sink: any ByteSink, _ algorithm: Digest.Algorithm = .sha256) {
        self.sink = sink
        hash = ContentHasher(algorithm)
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(KernelError) {
        hash.update(bytes)
        try sink.write(bytes)
    }

    /// The digest of everything written so far.
    var digest: Digest { hash.digest }
}
