import Glibc
import Kernel
import OCISpec

/// All images of this machine, as an OCI image layout that `ls` and `jq` can read.
///
///     ROOT/images/oci-layout             says what this directory is
///     ROOT/images/index.json             the tags: which name means which manifest
///     ROOT/images/blobs/sha256/DIGITS    manifests, configurations and layers
///     ROOT/images/ingest/                blobs that are being written
///     ROOT/images/lock                   held by whoever changes index.json
///     ROOT/images/lease                  shared by writers, alone by the garbage collector
///
/// A blob is named by its content, so it never changes and needs no lock. Whoever only reads
/// takes no lock either: index.json is replaced as a whole. See image-spec, image-layout.md.
public struct ContentStore: Sendable {
    /// How many bytes a manifest, an index or a configuration may have: as many as registries take.
    public static let documentLimit = 4 << 20

    /// The layout's directory.
    public let path: String

    /// The store below the state directory; nothing is made before something is written.
    public init(stateRoot: String) { path = stateRoot + "/images" }

    /// Where the blob is, or would be.
    public func blobPath(_ digest: Digest) -> String {
        "\(path)/blobs/\(digest.algorithm.name)/\(digest.hex)"
    }

    var ingest: String { path + "/ingest" }
    var lockPath: String { path + "/lock" }
    var indexPath: String { path + "/index.json" }

    // Reading

    /// Whether the blob is here.
    public func has(_ digest: Digest) -> Bool { access(blobPath(digest), F_OK) == 0 }

    /// How many bytes the blob has; nil where it is not here.
    public func size(of digest: Digest) -> Int? {
        var status = stat()
        guard stat(blobPath(digest), &status) == 0 else { return nil }
        return Int(status.st_size)
    }

    /// Opens the blob to be read.
    ///
    /// What it holds is not hashed: that was done when it was written. See ``verify(_:)``.
    /// - Throws: `ENOENT` where it is not here.
    public func open(_ digest: Digest) throws(KernelError) -> Descriptor {
        do { return try Descriptor.open(blobPath(digest), O_RDONLY) } catch
            where error.errno == .noSuchFile
        {
            throw error.advising("The image is not complete here; import or pull it again.")
        }
    }

    /// The bytes of a small blob, such as a manifest, as they are.
    ///
    /// Their number is checked, their hash is not: this is what every `hull run` waits for.
    /// - Throws: `EFBIG` where there are more than ``documentLimit``, `EBADMSG` where there are
    ///   not as many as the descriptor says.
    public func bytes(of descriptor: ContentDescriptor) throws(KernelError) -> [UInt8] {
        let name = blobPath(descriptor.digest)
        guard descriptor.size <= ContentStore.documentLimit else {
            throw KernelError(
                "read", name, Errno(rawValue: EFBIG),
                remedy: "A manifest or configuration has no more than 4 MiB, not "
                    + "\(descriptor.size) bytes.")
        }
        let bytes: [UInt8]
        do { bytes = try open(descriptor.digest).readAll(limit: ContentStore.documentLimit) } catch
        {
            throw error.renamed("read", name)
        }
        guard bytes.count == descriptor.size else {
            throw corrupt(name, "It has \(bytes.count) bytes instead of \(descriptor.size).")
        }
        return bytes
    }

    /// The manifest that `descriptor` leads to.
    public func manifest(_ descriptor: ContentDescriptor) throws(KernelError) -> ImageManifest {
        try read(descriptor) { json throws(SpecificationError) in try ImageManifest(json) }
    }

    /// The index that `descriptor` leads to.
    public func imageIndex(_ descriptor: ContentDescriptor) throws(KernelError) -> ImageIndex {
        try read(descriptor) { json throws(SpecificationError) in try ImageIndex(json) }
    }

    /// The configuration that `descriptor` leads to.
    public func configuration(
        _ descriptor: ContentDescriptor
    ) throws(KernelError) -> ImageConfiguration {
        try read(descriptor) { json throws(SpecificationError) in try ImageConfiguration(json) }
    }

    private func read<Content>(
        _ descriptor: ContentDescriptor,
        _ decode: (JSONReader) throws(SpecificationError) -> Content
    ) throws(KernelError) -> Content {
        let bytes = try bytes(of: descriptor)
        do { return try decode(JSONReader(try JSON.parse(bytes))) } catch {
            throw error.asKernelError(reading: blobPath(descriptor.digest))
        }
    }

    /// A blob of any size.
    func source(
        _ descriptor: ContentDescriptor, progress: @escaping (Int) -> Void
    ) throws(KernelError) -> some ByteSource {
        FileSource(
            try open(descriptor.digest), named: descriptor.digest.description, progress: progress)
    }

    // Writing

    /// Starts a blob whose content and name are not known yet.
    ///
    /// - Parameter algorithm: which hash is taken on the way.
    public func makeBlob(_ algorithm: Digest.Algorithm = .sha256) throws(KernelError) -> BlobWriter
    {
        try makeLayout()
        return BlobWriter(try ScratchSpace(directory: ingest).makeFile(), in: self, algorithm)
    }

    /// Goes on with the download of a blob, or starts one.
    ///
    /// Its ``BlobWriter/size`` says how much is there. It stays when the writer goes; only
    /// `hull image prune` clears what nobody went on with.
    /// - Returns: nil where somebody else is downloading it: look for the blob in a while.
    public func resumeBlob(_ digest: Digest) throws(KernelError) -> BlobWriter? {
        try makeLayout()
        try makeDirectories(ingest, mode: 0o700, why: "a place for what is not finished yet")
        let path = "\(ingest)/\(digest.algorithm.name)-\(digest.hex)\(ScratchSpace.download)"
        while true {
            let file = try Descriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
            if flock(file.number, LOCK_EX | LOCK_NB) < 0 {
                let errno = Errno.current
                if errno == .wouldBlock { return nil }
                throw KernelError("flock", path, errno)
            }
            // Between the two calls its last writer may have made it a blob.
            guard isFile(file, at: path) else { continue }
            return try BlobWriter(resuming: path, file, in: self, digest.algorithm)
        }
    }

    /// Writes a small blob, byte for byte.
    ///
    /// - Parameter expected: the digest it has to have.
    public func write(
        _ bytes: some Collection<UInt8>, as mediaType: String, expecting expected: Digest? = nil
    ) throws(KernelError) -> ContentDescriptor {
        let blob = try makeBlob(expected?.algorithm ?? .sha256)
        try Array(bytes).withUnsafeBufferPointer { bytes throws(KernelError) in
            try blob.write(UnsafeRawBufferPointer(bytes))
        }
        let digest = try blob.commit(expecting: expected)
        return ContentDescriptor(mediaType: mediaType, digest: digest, size: blob.size)
    }

    /// Writes a small blob.
    public func write(
        _ json: JSON, as mediaType: String
    ) throws(KernelError) -> ContentDescriptor {
        try write(json.text().utf8, as: mediaType)
    }

    func makeBlobDirectory(_ algorithm: Digest.Algorithm) throws(KernelError) {
        try makeDirectories(
            "\(path)/blobs/\(algorithm.name)", mode: 0o700, why: "the blobs in the content store")
    }

    func makeLayout() throws(KernelError) {
        let marker = path + "/oci-layout"
        if fileType(marker) != nil { return }
        // Layers hold other people's secrets, such as /etc/shadow, and set-user-ID programs.
        // The state directory itself holds other things, some of them for root of a user namespace.
        let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        try makeDirectories(parent, mode: 0o711, why: "what stays of images and containers")
        try makeDirectories(path, mode: 0o700, why: "the content store")
        try makeBlobDirectory(.sha256)
        let lock = try FileLock(lockPath)
        if fileType(indexPath) == nil {
            try replaceFile(indexPath, with: (ImageIndex().json.text(indent: 2) + "\n").utf8)
        }
        // Last, because it says that the rest is there.
        try replaceFile(marker, with: #"{"imageLayoutVersion":"1.0.0"}"#.utf8)
        _ = consume lock
    }
}

/// Whether `path` still leads to the open file.
func isFile(_ file: borrowing Descriptor, at path: String) -> Bool {
    var own = stat()
    var named = stat()
    return fstat(file.number, &own) == 0 && stat(path, &named) == 0
        && own.st_dev == named.st_dev && own.st_ino == named.st_ino
}
