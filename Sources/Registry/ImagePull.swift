import Images
import Kernel
import OCISpec

/// Brings an image from its registry into the store, and unpacks it on the way.
///
///     tag ──▶ manifest or index ──▶ manifest ──▶ configuration, layers     by digest from here on
///                    │                              │
///              the tag may move now                 ├─▶ ingest/ ─▶ blobs/
///              without any effect                   └─▶ inflated and unpacked as it comes
///
/// The order is the one in which nothing is ever there by half: blobs first, then the manifest,
/// then the tag.
public struct ImagePull: Sendable {
    /// What is wanted.
    public var reference: ImageReference
    /// For which machine.
    public var platform = Platform.host
    /// Whether all that the index lists are wanted, for every machine.
    public var wantsAllPlatforms = false
    /// Whether the layers are unpacked too.
    public var unpacks = true
    /// How to go about it.
    public var settings: TransferSettings
    private let stateRoot: String

    /// A pull of `reference` into the state directory.
    public init(_ reference: ImageReference, stateRoot: String, settings: TransferSettings) {
        self.reference = reference
        self.stateRoot = stateRoot
        self.settings = settings
    }

    /// What has been pulled.
    public struct Outcome: Sendable {
        /// What the registry's tag means: the digest of a manifest or an index.
        public let resolved: Digest
        /// What the name means here: the same, or the manifest for one platform out of the index.
        public let stored: ContentDescriptor
    }

    /// Pulls.
    public func run(
        observer: @escaping TransferObserver = { _ in }
    ) async throws(KernelError) -> Outcome {
        let transport = Transport(settings)
        let outcome: Result<Outcome, KernelError>
        do throws(TransferFailure) {
            outcome = .success(try await pull(Sources(reference, transport, observer), observer))
        } catch {
            outcome = .failure(error.error)
        }
        await transport.close()
        return try outcome.get()
    }

    private func pull(
        _ sources: Sources, _ observer: @escaping TransferObserver
    ) async throws(TransferFailure) -> Outcome {
        let store = ContentStore(stateRoot: stateRoot)
        // From here on nobody collects what nothing leads to yet.
        let lease = try kernel { () throws(KernelError) in try store.hold() }
        let top = try await sources.manifest(
            reference.digest?.description ?? reference.tag ?? "latest",
            expecting: reference.digest)
        observer(.resolved(top.descriptor.digest))
        let tree = try await ManifestTree(
            from: top, sources, platform: wantsAllPlatforms ? nil : platform)
        let images = try tree.images()
        try await fetch(images, from: sources, into: store, observer)
        // What lists others comes after them.
        for document in tree.documents.reversed() {
            try kernel { () throws(KernelError) in
                _ = try store.write(
                    document.bytes, as: document.descriptor.mediaType,
                    expecting: document.descriptor.digest)
            }
        }
        let stored = tree.top.descriptor
        try kernel { () throws(KernelError) in try store.tag(stored, as: reference) }
        lease.release()
        return Outcome(resolved: top.descriptor.digest, stored: stored)
    }

    /// All blobs of all images, a few at a time; configurations first, for they are small and say
    /// what the layers unpack to.
    private func fetch(
        _ images: [ImageManifest], from sources: Sources, into store: ContentStore,
        _ observer: @escaping TransferObserver
    ) async throws(TransferFailure) {
        let own = wantsAllPlatforms ? nil : images.first
        var wanted: [ContentDescriptor] = []
        var seen: Set<Digest> = []
        for image in images where seen.insert(image.configuration.digest).inserted {
            guard image.configuration.size <= Limits.configuration else {
                throw TransferFailure(
                    KernelError(
                        "pull", "blob \(image.configuration.digest)", .tooLarge,
                        remedy: "A configuration has no more than "
                            + "\(ByteSize.text(Limits.configuration))."))
            }
            wanted.append(image.configuration)
        }
        for layer in images.flatMap(\.layers) where seen.insert(layer.digest).inserted {
            wanted.append(layer)
        }
        let growing = Dictionary(
            wanted.map { ($0.digest, GrowingFile()) }, uniquingKeysWith: { first, _ in first })
        let downloads = Downloads(
            wanted: wanted, growing: growing, sources: sources, store: store,
            limit: settings.parallelLayers, observer: observer)
        guard let own, unpacks else { return try await downloads.run().get() }
        let unpacking = LayerUnpacking(
            image: own, growing: growing, store: store, stateRoot: stateRoot, observer: observer)
        try await both(downloads, unpacking, growing)
    }

    /// Both at once. Where one fails, the other has no reason to go on.
    private func both(
        _ downloads: Downloads, _ unpacking: LayerUnpacking, _ growing: [Digest: GrowingFile]
    ) async throws(TransferFailure) {
        let failure = await withTaskGroup(of: TransferFailure?.self) { group in
            group.addTask {
                guard case .failure(let failure) = await downloads.run() else { return nil }
                // Whoever reads a file that will never be whole is told so.
                for file in growing.values { file.fail(failure.error) }
                return failure
            }
            group.addTask {
                guard case .failure(let error) = await unpacking.run() else { return nil }
                return TransferFailure(error)
            }
            var first: TransferFailure?
            for await failure in group {
                guard let failure else { continue }
                first = first ?? failure
                group.cancelAll()
            }
            return first
        }
        if let failure { throw failure }
    }
}

/// Calls something that throws the kernel's errors.
func kernel<Result: ~Copyable>(
    _ body: () throws(KernelError) -> Result
) throws(TransferFailure) -> Result {
    do { return try body() } catch { throw TransferFailure(error) }
}
