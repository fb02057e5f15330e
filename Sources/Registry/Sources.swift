import Images
import Kernel
import OCISpec

/// Where an image may come from: the mirrors of its registry, then the registry.
///
/// All of them are asked by digest as soon as there is one, and what they send is hashed. So a
/// mirror has to be trusted with which image a tag means, and with nothing else.
struct Sources: Sendable {
    private let clients: [RegistryClient]
    let repository: String
    private let observer: TransferObserver

    init(
        _ reference: ImageReference, _ transport: Transport, _ observer: @escaping TransferObserver
    ) {
        repository = reference.repository
        self.observer = observer
        let names = transport.settings.mirrors.of(reference.registry) + [reference.registry]
        clients = names.map { RegistryClient($0, transport) }
    }

    /// What a tag means, or what has this digest.
    func manifest(
        _ name: String, expecting expected: Digest?
    ) async throws(TransferFailure) -> ManifestDocument {
        try await first { client async throws(TransferFailure) in
            try await client.manifest(name, of: repository, expecting: expected)
        }
    }

    /// The manifest that an index lists.
    func manifest(_ entry: ContentDescriptor) async throws(TransferFailure) -> ManifestDocument {
        let document = try await manifest("\(entry.digest)", expecting: entry.digest)
        guard document.descriptor.size == entry.size else {
            throw TransferFailure(
                KernelError(
                    "pull", "manifest \(entry.digest)", .badMessage,
                    remedy: "It has \(document.descriptor.size) bytes; its index says "
                        + "\(entry.size)."))
        }
        return document
    }

    /// Brings a blob into the store.
    func download(
        _ descriptor: ContentDescriptor, into store: ContentStore, _ growth: GrowingFile
    ) async throws(TransferFailure) {
        try await first { client async throws(TransferFailure) in
            try await BlobDownload(
                client: client, repository: repository, descriptor: descriptor, store: store,
                observer: observer
            ).run(growth)
        }
    }

    /// The first that comes to something; the registry's own failure where none does.
    private func first<Result: Sendable>(
        _ ask: (RegistryClient) async throws(TransferFailure) -> Result
    ) async throws(TransferFailure) -> Result {
        for mirror in clients.dropLast() {
            do { return try await ask(mirror) } catch {
                observer(.note("mirror \(mirror.registry): \(error.error)"))
            }
        }
        return try await ask(clients[clients.count - 1])
    }
}
