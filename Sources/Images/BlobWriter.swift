import Glibc
import Kernel
import OCISpec

/// Writes a blob: to a file in `ingest/`, then, once its hash is known, under that name.
///
/// A writer that goes without ``commit(expecting:size:)`` takes its file with it, unless the
/// file is a download that the next one can go on with.
public final class BlobWriter: ByteSink {
    private let store: ContentStore
    /// The file in `ingest/`, which grows; gone when the blob is committed.
    public let path: String
    /// Its lock says that somebody is writing.
    private let file: Descriptor
    private let isDownload: Bool
    private let algorithm: Digest.Algorithm
    private var hash: ContentHasher
    /// How many bytes there are so far.
    public private(set) var size = 0
    private var isDone = false

    /// Starts a new one.
    init(_ entry: consuming ScratchEntry, in store: ContentStore, _ algorithm: Digest.Algorithm) {
        self.store = store
        path = entry.path
        file = entry.release()
        isDownload = false
        self.algorithm = algorithm
        hash = ContentHasher(algorithm)
    }

    /// Goes on with a download; `file` is locked.
    init(
        resuming path: String, _ file: consuming Descriptor, in store: ContentStore,
        _ algorithm: Digest.Algorithm
    ) throws(KernelError) {
        self.store = store
        self.path = path
        self.file = file
        isDownload = true
        self.algorithm = algorithm
        hash = ContentHasher(algorithm)
        try readWhatIsThere()
    }

    deinit { if !isDone && !isDownload { unlink(path) } }

    /// Appends `bytes`. See `write(2)`.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(KernelError) {
        var done = 0
        while done < bytes.count {
            let put = Glibc.write(
                file.number, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            let errno = Errno.current
            if put < 0 && errno == .interrupted { continue }
            guard put >= 0 else { throw KernelError("write", path, errno) }
            done += put
        }
        hash.update(bytes)
        size += bytes.count
    }

    /// The digest of what was written so far.
    public var digest: Digest { hash.digest }

    /// What was written so far, from the start.
    func content(progress: @escaping (Int) -> Void) throws(KernelError) -> some ByteSource {
        // A second descriptor of the same open file would share its position.
        let file = try Descriptor.open(path, O_RDONLY)
        return FileSource(file, named: "the new layer", progress: progress)
    }

    /// Throws away what was written, to begin again at the first byte.
    public func restart() throws(KernelError) {
        if ftruncate(file.number, 0) < 0 || lseek(file.number, 0, SEEK_SET) < 0 {
            throw KernelError("ftruncate", path, .current)
        }
        hash = ContentHasher(algorithm)
        size = 0
    }

    /// Removes the file, of a download too.
    public func discard() {
        if !isDone { unlink(path) }
        isDone = true
    }

    /// Makes the blob last and gives it its name.
    ///
    /// Hold the store from before this until a tag leads to the blob: garbage collection takes
    /// what nothing leads to. See ``ContentStore/hold()``.
    /// - Parameters:
    ///   - expected: the digest it has to have; nil where any will do.
    ///   - size: the length it has to have; nil where any will do.
    /// - Returns: the digest it has.
    /// - Throws: `EBADMSG` where it is not what was expected; it is removed then.
    @discardableResult
    public func commit(
        expecting expected: Digest? = nil, size wanted: Int? = nil
    ) throws(KernelError) -> Digest {
        let digest = try digest(expected?.algorithm ?? algorithm)
        try check(digest, expected, wanted)
        try store.putInPlace(path, file, as: digest)
        isDone = true
        return digest
    }

    private func check(
        _ digest: Digest, _ expected: Digest?, _ wanted: Int?
    ) throws(KernelError) {
        if let wanted, wanted != size {
            discard()
            throw corrupt(
                "blob \(expected ?? digest)", "It has \(size) bytes instead of \(wanted).")
        }
        if let expected, expected != digest {
            discard()
            throw corrupt("blob \(expected)", "What came instead has the digest \(digest).")
        }
    }

    /// The hash that was taken on the way, or another one, for which it is read again.
    private func digest(_ other: Digest.Algorithm) throws(KernelError) -> Digest {
        if other == algorithm { return hash.digest }
        let source = HashingSource(try content(progress: { _ in }), other)
        try source.drain()
        return source.digest
    }

    private func readWhatIsThere() throws(KernelError) {
        let buffer = WorkBuffer()
        while true {
            let count = Glibc.read(file.number, buffer.bytes.baseAddress, buffer.bytes.count)
            let errno = Errno.current
            if count < 0 && errno == .interrupted { continue }
            guard count >= 0 else { throw KernelError("read", path, errno) }
            if count == 0 { return }
            hash.update(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
            size += count
        }
    }
}

extension ContentStore {
    /// Makes a file that lasts out of one in the store's own file system, and gives it its name.
    func putInPlace(
        _ path: String, _ file: borrowing Descriptor, as digest: Digest
    ) throws(KernelError) {
        let target = blobPath(digest)
        try makeBlobDirectory(digest.algorithm)
        if fchmod(file.number, 0o444) < 0 || fsync(file.number) < 0 {
            throw KernelError("fsync", path, .current)
        }
        // The same content has the same name: replacing it by itself changes nothing.
        if rename(path, target) < 0 { throw KernelError("rename", target, .current) }
        try syncDirectory(holding: target)
    }
}
