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
///
/// A blob is named by its content, so it never changes and needs no lock. Whoever only reads
/// takes no lock either: index.json is replaced as a whole. See image-spec, image-layout.md.
public struct ContentStore: Sendable {
    /// The layout's directory.
    public let path: String

    /// The store below the state directory; nothing is made before something is written.
    public init(stateRoot: String) { path = stateRoot + "/images" }

    /// Where the blob is, or would be.
    public func blobPath(_ digest: Digest) -> String { "\(blobs)/\(digest.hex)" }

    private var blobs: String { path + "/blobs/sha256" }
    private var indexPath: String { path + "/index.json" }

    // Reading

    /// What is tagged; empty where there is no store yet.
    public func index() throws(KernelError) -> ImageIndex {
        let bytes: [UInt8]
        do { bytes = try readFile(indexPath, limit: 16 << 20) } catch
            where error.errno == .noSuchFile
        {
            return ImageIndex()
        }
        do { return try ImageIndex(JSONReader(try JSON.parse(bytes))) } catch {
            throw error.asKernelError(reading: indexPath)
        }
    }

    /// A small blob, such as a manifest.
    ///
    /// Its size is checked, its hash is not: that was done when it was written, and this is
    /// what every `hull run` waits for.
    func read<Content>(
        _ descriptor: ContentDescriptor,
        _ decode: (JSONReader) throws(SpecificationError) -> Content
    ) throws(KernelError) -> Content {
        let file = blobPath(descriptor.digest)
        let bytes: [UInt8]
        do { bytes = try readFile(file, limit: 8 << 20) } catch  where error.errno == .noSuchFile {
            throw error.advising("The image is not complete here; import or pull it again.")
        }
        guard bytes.count == descriptor.size else {
            throw corrupt(file, "It has \(bytes.count) bytes instead of \(descriptor.size).")
        }
        do { return try decode(JSONReader(try JSON.parse(bytes))) } catch {
            throw error.asKernelError(reading: file)
        }
    }

    /// A blob of any size.
    func source(
        _ descriptor: ContentDescriptor, progress: @escaping (Int) -> Void
    ) throws(KernelError) -> some ByteSource {
        let file = try Descriptor.open(blobPath(descriptor.digest), O_RDONLY)
        return FileSource(file, named: descriptor.digest.description, progress: progress)
    }

    // Writing

    /// Starts a blob whose content and name are not known yet.
    func makeBlob() throws(KernelError) -> BlobWriter {
        try makeLayout()
        return BlobWriter(try ScratchSpace(directory: path + "/ingest").makeFile(), in: blobs)
    }

    /// Writes a small blob.
    func write(_ json: JSON, as mediaType: String) throws(KernelError) -> ContentDescriptor {
        let blob = try makeBlob()
        try Array(json.text().utf8).withUnsafeBufferPointer { bytes throws(KernelError) in
            try blob.write(UnsafeRawBufferPointer(bytes))
        }
        try blob.commit()
        return ContentDescriptor(mediaType: mediaType, digest: blob.digest, size: blob.size)
    }

    /// Lets `reference` mean `manifest` from now on.
    ///
    /// What had the name before stays in the index without one.
    func tag(
        _ manifest: ContentDescriptor, as reference: ImageReference
    ) throws(KernelError) {
        try makeLayout()
        let lock = try FileLock(path + "/lock")
        try removeUnfinishedIndexes()
        var index = try index()
        for position in index.manifests.indices where index.manifests[position].isTagged(reference)
        {
            index.manifests[position].untag()
        }
        // Once without a name is enough, and with one is better.
        index.manifests.removeAll { $0.digest == manifest.digest && $0.tag == nil }
        index.manifests.append(manifest.tagged(reference))
        try replaceFile(indexPath, with: (index.json.text(indent: 2) + "\n").utf8)
        _ = consume lock
    }

    private func makeLayout() throws(KernelError) {
        let marker = path + "/oci-layout"
        if fileType(marker) != nil { return }
        // Layers hold other people's secrets, such as /etc/shadow, and set-user-ID programs.
        try makeDirectories(path, mode: 0o700, why: "the content store")
        try makeDirectories(blobs, mode: 0o700, why: "the blobs in the content store")
        let lock = try FileLock(path + "/lock")
        if fileType(indexPath) == nil {
            try replaceFile(indexPath, with: (ImageIndex().json.text(indent: 2) + "\n").utf8)
        }
        // Last, because it says that the rest is there.
        try replaceFile(marker, with: #"{"imageLayoutVersion":"1.0.0"}"#.utf8)
        _ = consume lock
    }

    /// Whoever holds the lock is the only one to write these; others' are a dead process's.
    private func removeUnfinishedIndexes() throws(KernelError) {
        for name in try namesInDirectory(path) where name.hasSuffix(".tmp") {
            try removeTree(path + "/" + name)
        }
    }
}

/// How a name is kept in index.json.
///
/// The layout's own annotation holds the whole name, which is what podman and skopeo look for.
/// containerd reads another one, and takes the first for the tag alone.
extension ContentDescriptor {
    private static let name = "org.opencontainers.image.ref.name"
    private static let containerdName = "io.containerd.image.name"

    /// The name in the index, as it was written.
    var tag: String? { annotations[Self.containerdName] ?? annotations[Self.name] }

    fileprivate func isTagged(_ reference: ImageReference) -> Bool {
        tag == reference.description
    }

    fileprivate func tagged(_ reference: ImageReference) -> ContentDescriptor {
        var copy = self
        copy.annotations[Self.name] = reference.description
        copy.annotations[Self.containerdName] = reference.description
        return copy
    }

    fileprivate mutating func untag() {
        annotations[Self.name] = nil
        annotations[Self.containerdName] = nil
    }
}
