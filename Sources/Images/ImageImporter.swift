import Glibc
import Kernel
import OCISpec

/// Makes an image of one layer out of a root file system, as `docker import` does.
public struct ImageImporter: Sendable {
    /// Where the root file system is.
    public enum Input: Sendable {
        /// In an archive, packed by gzip or not.
        case archive(String)
        /// In a directory.
        case directory(String)
        /// In an archive that comes in by standard input.
        case standardInput
    }

    private let store: ContentStore
    private let snapshots: Snapshots

    /// Imports into the state directory.
    public init(stateRoot: String) {
        store = ContentStore(stateRoot: stateRoot)
        snapshots = Snapshots(stateRoot: stateRoot)
    }

    /// Makes the image and gives it its name.
    ///
    /// The order is the one in which nothing is ever there by half: the archive is unpacked before
    /// its blob gets a name, and the tag comes last.
    /// - Parameters:
    ///   - changes: Dockerfile instructions such as `CMD ["/bin/sh"]`.
    ///   - created: the date that the image bears.
    /// - Returns: the image's id.
    public func `import`(
        from input: Input, as reference: ImageReference, changes: [String] = [],
        created: Timestamp = .now, progress: @escaping ProgressHandler = { _ in }
    ) throws(KernelError) -> Digest {
        try reference.refuseDigest()
        // Before the long work: a slip in a change should not cost a minute.
        var process = ImageProcess()
        for change in changes { try process.apply(change) }
        let lease = try store.hold()
        let layer = try addLayer(input, progress)
        let configuration = ImageConfiguration(
            platform: .host, created: created, process: process, diffIDs: [layer.diffID],
            history: [ImageHistory(created: created, createdBy: "hull image import")])
        let configurationBlob = try store.write(
            configuration.json, as: MediaType.configuration)
        let manifest = ImageManifest(configuration: configurationBlob, layers: [layer.blob])
        let manifestBlob = try store.write(manifest.json, as: MediaType.manifest)
        try store.tag(manifestBlob, as: reference)
        lease.release()
        return configurationBlob.digest
    }

    private func addLayer(
        _ input: Input, _ progress: @escaping ProgressHandler
    ) throws(KernelError) -> (diffID: Digest, blob: ContentDescriptor) {
        let blob = try store.makeBlob()
        let diffID = try pack(input, into: blob, progress)
        let total = blob.size
        let content = try blob.content { done in
            progress(Progress(step: "Unpacking", done: done, total: total))
        }
        let chain = Snapshots.chainIDs([diffID])[0]
        if !snapshots.has(chain) {
            let name = input.name
            try snapshots.add(
                chain, on: nil, try unpacked(content, named: name), named: name, diffID: diffID)
        }
        try blob.commit()
        let descriptor = ContentDescriptor(
            mediaType: MediaType.gzipLayer, digest: blob.digest, size: blob.size)
        return (diffID, descriptor)
    }

    /// Writes the archive, packed, and returns the digest of what it was before.
    private func pack(
        _ input: Input, into blob: BlobWriter, _ progress: @escaping ProgressHandler
    ) throws(KernelError) -> Digest {
        let packed = GzipSink(blob)
        let archive = HashingSink(packed)
        switch input {
        case .directory(let path):
            let total = try contentSize(of: path)
            var writer = DirectoryArchive(to: archive) { done in
                progress(Progress(step: "Packing", done: done, total: total))
            }
            try writer.write(path)
        case .archive(let path):
            try copy(try open(path), named: path, to: archive, progress)
        case .standardInput:
            let own = fcntl(0, F_DUPFD_CLOEXEC, 3)
            guard own >= 0 else { throw KernelError("read", input.name, .current) }
            try copy(Descriptor(owning: own), named: input.name, to: archive, progress)
        }
        try packed.finish()
        return archive.digest
    }

    private func open(_ path: String) throws(KernelError) -> Descriptor {
        do { return try Descriptor.open(path, O_RDONLY) } catch  where error.errno == .noSuchFile {
            throw error.advising("Give an archive, a directory, or - for standard input.")
        }
    }

    private func copy(
        _ file: consuming Descriptor, named name: String, to archive: HashingSink,
        _ progress: @escaping ProgressHandler
    ) throws(KernelError) {
        var status = stat()
        let isFile = fstat(file.number, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        let total = isFile ? Int(status.st_size) : nil
        let source = FileSource(file, named: name) { done in
            progress(Progress(step: "Packing", done: done, total: total))
        }
        let plain = try unpacked(source, named: name)
        try plain.copy(to: archive)
    }
}

extension ImageReference {
    /// Throws where it has a digest: it is a name that an image is to get.
    func refuseDigest() throws(KernelError) {
        if digest == nil { return }
        throw KernelError(
            "image name", familiar, .invalidArgument,
            remedy: "A digest is found, not chosen; give a name and a tag.")
    }
}

extension ImageImporter.Input {
    fileprivate var name: String {
        switch self {
        case .archive(let path), .directory(let path): path
        case .standardInput: "standard input"
        }
    }
}
