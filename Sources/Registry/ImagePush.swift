import Images
import Kernel
import OCISpec
import Synchronization

/// Brings an image from the store to a registry: blobs first, then the manifest, then the tag,
/// so that nobody ever finds one that is there by half.
public struct ImagePush: Sendable {
    /// What it is called here.
    public var source: String
    /// What it is to be called there.
    public var destination: ImageReference
    /// Whether all that an index lists go, for every machine.
    public var wantsAllPlatforms = false
    /// How to go about it.
    public var settings: TransferSettings
    private let stateRoot: String

    /// A push out of the state directory.
    public init(
        _ source: String, as destination: ImageReference, stateRoot: String,
        settings: TransferSettings
    ) {
        self.source = source
        self.destination = destination
        self.stateRoot = stateRoot
        self.settings = settings
    }

    /// Pushes.
    /// - Returns: the manifest or the index that the name means there now.
    public func run(
        observer: @escaping TransferObserver = { _ in }
    ) async throws(KernelError) -> ContentDescriptor {
        let transport = Transport(settings)
        let outcome: Result<ContentDescriptor, KernelError>
        do throws(TransferFailure) {
            let client = RegistryClient(destination.registry, transport)
            outcome = .success(try await push(client, observer))
        } catch {
            outcome = .failure(error.error)
        }
        await transport.close()
        return try outcome.get()
    }

    private func push(
        _ client: RegistryClient, _ observer: @escaping TransferObserver
    ) async throws(TransferFailure) -> ContentDescriptor {
        let store = ContentStore(stateRoot: stateRoot)
        let lease = try kernel { () throws(KernelError) in try store.hold() }
        let documents = try kernel { () throws(KernelError) in try self.documents(in: store) }
        let top = documents[0].descriptor
        observer(.resolved(top.digest))
        let known = try kernel { () throws(KernelError) in
            try OtherRepositories(of: destination, in: store)
        }
        let repository = destination.repository
        // The login once, and not by each of the layers.
        try await checkAccess(client)
        let result = await inParallel(try blobs(of: documents), limit: settings.parallelLayers) {
            blob async throws(TransferFailure) in
            try await BlobUpload(
                client: client, repository: repository, descriptor: blob, store: store,
                other: known.having(blob.digest), observer: observer
            ).run()
        }
        try result.get()
        for document in documents.dropFirst().reversed() {
            try await client.put(document, as: "\(document.descriptor.digest)", in: repository)
        }
        let name = destination.tag ?? "\(top.digest)"
        try await client.put(documents[0], as: name, in: repository)
        lease.release()
        return top
    }

    private func checkAccess(_ client: RegistryClient) async throws(TransferFailure) {
        let answer = try await client.ask(.GET, "", for: .push(destination.repository))
        await answer.discard()
    }

    /// What to push: the image's manifest, or all that hang together, whoever lists others first.
    private func documents(in store: ContentStore) throws(KernelError) -> [ManifestDocument] {
        if wantsAllPlatforms, let entry = try entry(in: store) {
            var documents: [ManifestDocument] = []
            var waiting = [entry]
            while let next = waiting.popLast(), documents.count < Limits.manifests {
                let document = try ManifestDocument(next, in: store)
                documents.append(document)
                if document.isIndex { waiting += try store.imageIndex(next).manifests }
            }
            return documents
        }
        let image = try store.resolve(source)
        return [try ManifestDocument(image.descriptor, in: store)]
    }

    /// The index's own entry, where the name means an index.
    private func entry(in store: ContentStore) throws(KernelError) -> ContentDescriptor? {
        let reference = try ImageReference.parse(source)
        return try store.index().manifests.last { $0.tag == reference.description }
    }

    private func blobs(
        of documents: [ManifestDocument]
    ) throws(TransferFailure) -> [ContentDescriptor] {
        var blobs: [ContentDescriptor] = []
        var seen: Set<Digest> = []
        for document in documents where !document.isIndex {
            let manifest = try document.manifest()
            for blob in manifest.layers + [manifest.configuration]
            where seen.insert(blob.digest).inserted {
                blobs.append(blob)
            }
        }
        return blobs
    }
}

extension ManifestDocument {
    /// What is in the store, byte for byte.
    fileprivate init(
        _ descriptor: ContentDescriptor, in store: ContentStore
    ) throws(KernelError) {
        let bytes = try store.bytes(of: descriptor)
        let json: JSON
        do { json = try JSON.parse(bytes) } catch {
            throw KernelError("read", "\(descriptor.digest)", .badMessage, remedy: "\(error).")
        }
        var type = descriptor.mediaType
        if case .string(let own)? = json["mediaType"] { type = own }
        self.init(
            descriptor: ContentDescriptor(
                mediaType: type, digest: descriptor.digest, size: descriptor.size),
            bytes: bytes, json: json)
    }
}

/// Which repositories of the same registry our own tags say to have which blob.
private struct OtherRepositories: Sendable {
    private var byDigest: [Digest: String] = [:]

    init(of destination: ImageReference, in store: ContentStore) throws(KernelError) {
        for entry in try store.index().manifests {
            guard let name = entry.tag, let reference = try? ImageReference(name),
                reference.registry == destination.registry,
                reference.repository != destination.repository,
                MediaType.isManifest(entry.mediaType), let manifest = try? store.manifest(entry)
            else { continue }
            for layer in manifest.layers { byDigest[layer.digest] = reference.repository }
        }
    }

    func having(_ digest: Digest) -> String? { byDigest[digest] }
}

/// A number that several threads add to.
final class Position: Sendable {
    private let value: Mutex<Int>

    init(_ start: Int) { value = Mutex(start) }

    /// Adds, and says where it is then.
    func advance(by count: Int) -> Int {
        value.withLock { value in
            value += count
            return value
        }
    }
}
