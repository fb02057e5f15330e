import Glibc
import Kernel
import OCISpec

/// The manifests that belong to an image, from the one that its tag means.
struct ManifestTree: Sendable {
    /// The one that the name is to mean here.
    let top: ManifestDocument
    /// All of them; whoever lists others comes before those.
    private(set) var documents: [ManifestDocument]

    /// As deep as indexes may lie in each other; nobody does it at all.
    private static let depthLimit = 4

    /// Follows `document` down to one platform, or to all where that is nil.
    ///
    /// Everything below is fetched by its digest, so it belongs together, whatever happens to
    /// the tag meanwhile.
    init(
        from document: ManifestDocument, _ sources: Sources, platform: Platform?
    ) async throws(TransferFailure) {
        var top = document
        if let platform {
            var depth = 0
            while top.isIndex {
                guard depth < Self.depthLimit else { throw Self.tooDeep(document) }
                depth += 1
                let chosen = try choose(platform, from: top.index(), of: document)
                top = try await sources.manifest(chosen)
            }
            (self.top, documents) = (top, [top])
            return
        }
        self.top = document
        documents = []
        var waiting = [(document, 0)]
        while let (next, depth) = waiting.popLast() {
            documents.append(next)
            guard next.isIndex else { continue }
            guard depth < Self.depthLimit, documents.count + waiting.count <= Limits.manifests
            else { throw Self.tooDeep(document) }
            for entry in try next.index().manifests {
                waiting.append((try await sources.manifest(entry), depth + 1))
                guard documents.count + waiting.count <= Limits.manifests else {
                    throw Self.tooDeep(document)
                }
            }
        }
    }

    /// The images among them.
    func images() throws(TransferFailure) -> [ImageManifest] {
        var images: [ImageManifest] = []
        for document in documents where !document.isIndex {
            let image = try document.manifest()
            guard image.layers.count <= Limits.layers else {
                throw TransferFailure(
                    KernelError(
                        "pull", "manifest \(document.descriptor.digest)", .tooLarge,
                        remedy: "It has \(image.layers.count) layers; more than \(Limits.layers) "
                            + "are not pulled."))
            }
            images.append(image)
        }
        return images
    }

    private static func tooDeep(_ document: ManifestDocument) -> TransferFailure {
        TransferFailure(
            KernelError(
                "pull", "index \(document.descriptor.digest)", .tooLarge,
                remedy: "It lists more than \(Limits.manifests) manifests, or lists of lists."))
    }
}

/// The entry that suits a platform best.
private func choose(
    _ platform: Platform, from index: ImageIndex, of document: ManifestDocument
) throws(TransferFailure) -> ContentDescriptor {
    var best: (entry: ContentDescriptor, fitness: Int)?
    for entry in index.manifests {
        guard let fitness = entry.platform?.fitness(on: platform) else { continue }
        if fitness > best?.fitness ?? -1 { best = (entry, fitness) }
    }
    if let best { return best.entry }
    let known = index.manifests.compactMap(\.platform).filter { $0.os != "unknown" }
    let list = known.prefix(12).map(\.description).joined(separator: ", ")
    throw TransferFailure(
        KernelError(
            "pull", "index \(document.descriptor.digest)", .noSuchFile,
            remedy: "It has nothing for \(platform)"
                + (list.isEmpty ? "." : "; it has \(list).")))
}
