import Glibc
import Images
import Kernel
import NIOCore
import OCISpec
import Synchronization

/// A blob that is being pushed, by one request or by many.
///
/// Its bytes are in a file from the start, so a killed server loses none that it has confirmed:
/// the next one finds the file and goes on. The hash is taken on the way; where nobody has taken
/// it from the first byte on, the file is read once more at the end.
final class Upload: Sendable {
    let id: UploadID
    let name: RepositoryName
    private let path: String
    private let store: RegistryStore
    private let state: Mutex<State>

    private struct State: ~Copyable {
        var size: Int
        var hash: ContentHasher?
        /// Open for as long as a request writes.
        var file: Descriptor?
        var isClaimed = false
        var hasEnded = false
    }

    /// Starts a new one, or goes on with one whose file is there.
    init(
        _ id: UploadID, _ name: RepositoryName, in store: RegistryStore,
        hashing algorithm: Digest.Algorithm?
    ) throws(KernelError) {
        self.id = id
        self.name = name
        self.store = store
        let directory = store.root + "/uploads/" + name.directoryName
        path = directory + "/\(id)"
        let isNew = algorithm != nil
        if isNew { try makeDirectories(directory, mode: 0o700, why: "a repository's uploads") }
        let flags = isNew ? O_WRONLY | O_CREAT | O_EXCL : O_WRONLY
        let file = try Descriptor.open(path, flags | O_NOFOLLOW, mode: 0o600)
        state = Mutex(
            State(
                size: FileStatus(file)?.size ?? 0,
                hash: algorithm.map { ContentHasher($0) }))
    }

    /// How many bytes there are.
    var size: Int { state.withLock { $0.size } }

    /// Whether a request is writing, or the upload is over.
    var isIdle: Bool { state.withLock { !$0.isClaimed && !$0.hasEnded } }

    /// Whether it can still be gone on with.
    var isUnderWay: Bool { state.withLock { !$0.hasEnded } }

    /// Takes the upload for one request.
    /// - Throws: 409 where another request has it; 416 where it is not at `position`.
    func claim(at position: Int?) throws {
        try state.withLock { state in
            if state.hasEnded { throw RegistryError.uploadUnknown }
            if state.isClaimed {
                throw RegistryError(
                    .conflict, .blobUploadInvalid, "Another request is writing to this upload.")
            }
            if let position, position != state.size { throw outOfOrder(state.size) }
            state.file = try Descriptor.open(path, O_WRONLY | O_APPEND | O_NOFOLLOW)
            state.isClaimed = true
        }
    }

    /// Gives it back; what was written stays.
    func release() {
        state.withLock { state in
            state.file = nil
            state.isClaimed = false
        }
    }

    /// Appends bytes: all of them, or none.
    func append(_ bytes: ByteBuffer) throws {
        try store.usage.reserve(bytes.readableBytes)
        do {
            try state.withLock { state in try write(bytes, &state) }
        } catch {
            store.usage.release(bytes.readableBytes)
            throw error
        }
    }

    private func write(_ bytes: ByteBuffer, _ state: inout State) throws(KernelError) {
        guard let number = state.file?.number else {
            throw KernelError("write", path, .badDescriptor)
        }
        let failure = bytes.withUnsafeReadableBytes { bytes in writeAll(bytes, to: number) }
        if let failure {
            // What the hash has not seen must not stay.
            _ = ftruncate(number, off_t(state.size))
            throw KernelError("write", path, failure)
        }
        bytes.withUnsafeReadableBytes { bytes in state.hash?.update(bytes) }
        state.size += bytes.readableBytes
    }

    // book: begin finish
    /// Ends the upload: its bytes become the blob `digest` of the repository.
    /// - Throws: 400 where they are something else; nothing is left of them then.
    func finish(as digest: Digest) throws {
        let actual = try self.digest(digest.algorithm)
        guard actual == digest else {
            discard()
            throw RegistryError(
                .badRequest, .digestInvalid,
                "The content has the digest \(actual), not \(digest); it is thrown away.")
        }
        try state.withLock { state in
            guard let number = state.file?.number else { throw RegistryError.uploadUnknown }
            // A blob that is named before its content is on the disk could be empty after a power cut.
            if fchmod(number, 0o400) < 0 || fsync(number) < 0 {
                throw KernelError("fsync", path, .current)
            }
            try becomeBlob(digest, size: state.size)
            state.hasEnded = true
        }
    }
    // book: end finish

    /// Ends the upload without a blob.
    func discard() {
        state.withLock { state in
            if state.hasEnded { return }
            unlink(path)
            store.usage.release(state.size)
            state.hasEnded = true
        }
    }

    private func digest(_ algorithm: Digest.Algorithm) throws(KernelError) -> Digest {
        if let digest = state.withLock({ $0.hash?.digest }), digest.algorithm == algorithm {
            return digest
        }
        return try hashFile(path, algorithm)
    }

    /// The blob may be there already; then there is one file of it still.
    private func becomeBlob(_ digest: Digest, size: Int) throws(KernelError) {
        let repository = store.repository(name)
        let target = store.blobPath(digest)
        // Somebody collects garbage, or the file has as many names as it can: then ours goes in.
        for replacing in [false, true] {
            let isNew = try put(path, target, replacing: replacing)
            if try repository.adopt(digest) {
                unlink(path)
                if !isNew { store.usage.release(size) }
                return
            }
        }
        throw KernelError("link", repository.blobPath(digest), .noSuchFile)
    }

    /// - Returns: whether it was not there before.
    private func put(
        _ path: String, _ target: String, replacing: Bool
    ) throws(KernelError) -> Bool {
        if replacing { unlink(target) }
        let linked = link(path, target)
        let errno = Errno.current
        if linked < 0 && errno == .fileExists { return false }
        if linked < 0 { throw KernelError("link", target, errno) }
        try syncDirectory(holding: target)
        return true
    }

    private func outOfOrder(_ size: Int) -> RegistryError {
        var error = RegistryError(
            .rangeNotSatisfiable, .blobUploadInvalid,
            "The next byte of this upload is number \(size).")
        error.headers[.range] = Upload.range(size)
        return error
    }

    /// What there is, as the protocol writes it. There is no way to write "nothing".
    static func range(_ size: Int) -> String { "0-\(max(size - 1, 0))" }
}

/// Writes everything. See `write(2)`.
private func writeAll(_ bytes: UnsafeRawBufferPointer, to number: CInt) -> Errno? {
    var done = 0
    while done < bytes.count {
        let put = write(number, bytes.baseAddress.map { $0 + done }, bytes.count - done)
        let errno = Errno.current
        if put < 0 && errno == .interrupted { continue }
        if put < 0 { return errno }
        done += put
    }
    return nil
}

/// The digest of a file's content.
private func hashFile(
    _ path: String, _ algorithm: Digest.Algorithm
) throws(KernelError) -> Digest {
    let file = try Descriptor.open(path, O_RDONLY)
    var hash = ContentHasher(algorithm)
    while true {
        let bytes = try file.read(upTo: 1 << 18)
        if bytes.isEmpty { return hash.digest }
        bytes.withUnsafeBytes { hash.update($0) }
    }
}
