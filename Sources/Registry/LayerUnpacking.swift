import Dispatch
import FastGzip
import Glibc
import Images
import Kernel
import OCISpec

/// Unpacks an image's layers while they are downloaded.
///
///     network ─▶ hash ─▶ file ─▶ inflate ─▶ hash ─▶ files in snapshots/
///     └── one thread ──┘  │     └ another ┘ └── a third, this one ──┘
///                  page cache
///
/// Whatever goes wrong here is no loss: the blob is in the store, and the next who needs the
/// snapshot unpacks it from there.
struct LayerUnpacking: Sendable {
    let image: ImageManifest
    let growing: [Digest: GrowingFile]
    let store: ContentStore
    let stateRoot: String
    let observer: TransferObserver

    /// Unpacks one layer after the other, on a thread of its own.
    func run() async -> Result<Void, KernelError> {
        await withCheckedContinuation { continuation in
            DispatchQueue(label: "unpack").async {
                do throws(KernelError) {
                    continuation.resume(returning: .success(try unpack()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
    }

    private func unpack() throws(KernelError) {
        let configuration = try self.configuration()
        // Not an image that runs: a chart, a signature. Its blobs are all that there is.
        guard let configuration else { return }
        guard configuration.diffIDs.count == image.layers.count else {
            throw KernelError(
                "read", "\(image.configuration.digest)", .badMessage,
                remedy: "It has \(configuration.diffIDs.count) diff_ids for "
                    + "\(image.layers.count) layers.")
        }
        let driver = try StorageDriver(nil, stateRoot: stateRoot)
        let snapshots = Snapshots(stateRoot: stateRoot, driver: driver)
        let chains = Snapshots.chainIDs(configuration.diffIDs)
        for (index, layer) in image.layers.enumerated() {
            if !snapshots.has(chains[index]) {
                let parent = index > 0 ? chains[index - 1] : nil
                try add(
                    layer, chains[index], on: parent, configuration.diffIDs[index], to: snapshots)
            }
            observer(.blob(layer, .done))
        }
    }

    /// What the layers unpack to; nil where this is no image.
    private func configuration() throws(KernelError) -> ImageConfiguration? {
        let descriptor = image.configuration
        let types = [MediaType.configuration, "application/vnd.docker.container.image.v1+json"]
        guard types.contains(descriptor.mediaType) else { return nil }
        try growing[descriptor.digest]?.waitUntilWhole()
        observer(.blob(descriptor, .done))
        return try store.configuration(descriptor)
    }

    private func add(
        _ layer: ContentDescriptor, _ chain: Digest, on parent: Digest?, _ diffID: Digest,
        to snapshots: Snapshots
    ) throws(KernelError) {
        guard let growth = growing[layer.digest] else { return }
        let name = "layer \(layer.digest.short)"
        let archive = ThreadedSource("inflate") { () throws(KernelError) in
            // This program is not static, and has what inflates in half of zlib's time.
            try unpacked(
                try source(layer, growth, name), named: name,
                gzip: { FastGzipSource($0, named: $1) })
        }
        try snapshots.add(chain, on: parent, archive, named: name, diffID: diffID)
    }

    private func source(
        _ layer: ContentDescriptor, _ growth: GrowingFile, _ name: String
    ) throws(KernelError) -> GrowingFileSource {
        let file = try open(layer, growth)
        return GrowingFileSource(file, growing: growth, named: name) { done in
            observer(.blob(layer, .unpacking(done)))
        }
    }

    private func open(
        _ layer: ContentDescriptor, _ growth: GrowingFile
    ) throws(KernelError) -> Descriptor {
        guard let path = try growth.waitForPath() else { return try store.open(layer.digest) }
        do { return try Descriptor.open(path, O_RDONLY) } catch  where error.errno == .noSuchFile {
            // Since we asked, it has become a blob.
            return try store.open(layer.digest)
        }
    }
}
