import Kernel
import OCISpec

/// Makes an image of another one and what was changed in its files, as `docker commit` does.
public struct ImageCommitter: Sendable {
    /// What is written into the new image beside its files.
    public struct Notes: Sendable {
        /// Dockerfile instructions such as `CMD ["/bin/sh"]`.
        public var changes: [String] = []
        /// What its history says of it.
        public var message: String?
        /// Who made it.
        public var author: String?
        /// The command that changed the files.
        public var command: String?
        /// The date that the image bears.
        public var created = Timestamp.now

        /// Nothing but the date.
        public init() {}
    }

    private let store: ContentStore

    /// Commits into `store`.
    public init(_ store: ContentStore) { self.store = store }

    /// Makes the image and gives it its name.
    ///
    /// - Parameter reference: nil for an image without a name, which is found by its id.
    /// - Returns: the image's id.
    public func commit(
        _ diff: consuming LayerDiff, _ changes: [LayerChange], on base: Image,
        as reference: ImageReference?, _ notes: Notes,
        progress: @escaping ProgressHandler = { _ in }
    ) throws(KernelError) -> Digest {
        try reference?.refuseDigest()
        var configuration = base.configuration
        var layers = base.manifest.layers.map(inOCITerms)
        for change in notes.changes { try configuration.process.apply(change) }
        let lease = try store.hold()
        if !changes.isEmpty {
            let layer = try pack(diff, changes, progress)
            configuration.diffIDs.append(layer.diffID)
            layers.append(layer.blob)
        }
        configuration.created = notes.created
        configuration.author = notes.author ?? configuration.author
        configuration.history.append(
            ImageHistory(
                created: notes.created, createdBy: notes.command, comment: notes.message,
                author: notes.author, isEmptyLayer: changes.isEmpty))
        let before = try store.json(of: base.manifest.configuration)
        let configurationBlob = try store.write(
            before.replacing(membersOf: configuration.json), as: MediaType.configuration)
        let manifest = ImageManifest(configuration: configurationBlob, layers: layers)
        let blob = try store.write(manifest.json, as: MediaType.manifest)
        try store.tag(blob, as: reference)
        lease.release()
        return configurationBlob.digest
    }

    /// Docker's names for layers do not go with a manifest of the image specification.
    private func inOCITerms(_ layer: ContentDescriptor) -> ContentDescriptor {
        var layer = layer
        switch layer.mediaType {
        case "application/vnd.docker.image.rootfs.diff.tar.gzip":
            layer.mediaType = MediaType.gzipLayer
        case "application/vnd.docker.image.rootfs.diff.tar": layer.mediaType = MediaType.layer
        default: break
        }
        return layer
    }

    private func pack(
        _ diff: borrowing LayerDiff, _ changes: [LayerChange], _ progress: @escaping ProgressHandler
    ) throws(KernelError) -> (diffID: Digest, blob: ContentDescriptor) {
        let blob = try store.makeBlob()
        let packed = GzipSink(blob)
        let archive = HashingSink(packed)
        try diff.write(changes, to: archive) { done in
            progress(Progress(step: "Packing", done: done, total: nil))
        }
        try packed.finish()
        try blob.commit()
        let descriptor = ContentDescriptor(
            mediaType: MediaType.gzipLayer, digest: blob.digest, size: blob.size)
        return (archive.digest, descriptor)
    }
}

extension ContentStore {
    fileprivate func json(of descriptor: ContentDescriptor) throws(KernelError) -> JSON {
        let bytes = try bytes(of: descriptor)
        do { return try JSON.parse(bytes) } catch {
            throw error.asKernelError(reading: blobPath(descriptor.digest))
        }
    }
}

extension JSON {
    /// What no specification knows, and what Docker has besides, such as health checks, stays.
    fileprivate func replacing(membersOf other: JSON) -> JSON {
        guard case .object(var members) = self, case .object(let changed) = other else {
            return other
        }
        for member in changed {
            guard let index = members.firstIndex(where: { $0.name == member.name }) else {
                members.append(member)
                continue
            }
            let value = members[index].value
            members[index].value =
                member.name == "config" ? value.replacing(membersOf: member.value) : member.value
        }
        return .object(members)
    }
}
