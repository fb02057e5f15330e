import Kernel
import OCISpec

/// What the removal of an image came to.
public struct RemovedImage: Sendable {
    /// Names that mean nothing any more.
    public var untagged: [String] = []
    /// The image's id, where no entry of the index leads to it any more.
    public var deleted: Digest?
}

extension ContentStore {
    /// Takes a name away and, where it is the last one, the image; or an image by its id.
    ///
    /// Its blobs go with the next collection of garbage.
    /// - Parameters:
    ///   - force: whether an id with several names goes with all of them, and whether it matters
    ///     that a container is made of the image.
    ///   - user: what uses an image, such as `container 0123456789ab`; nil where nothing does.
    /// - Throws: `EBUSY` where it is not allowed without `force`.
    public func remove(
        _ name: String, force: Bool, user: (Image) throws(KernelError) -> String?
    ) throws(KernelError) -> RemovedImage {
        let entry = try entry(name)
        // What is damaged can be removed too.
        let image = try? load(entry, for: .any)
        let names = try index().manifests.filter { $0.digest == entry.digest }.compactMap(\.tag)
        let isByName = (try? ImageReference(name)).map(entry.isTagged) ?? false
        if !force {
            if !isByName && names.count > 1 { throw hasNames(name, names) }
            if names.count <= 1, let image, let user = try user(image) { throw isUsed(name, user) }
        }
        return try remove(entry, image?.id, isByName: isByName)
    }

    private func remove(
        _ entry: ContentDescriptor, _ id: Digest?, isByName: Bool
    ) throws(KernelError) -> RemovedImage {
        var removed = RemovedImage()
        try changeIndex { index in
            let goes: (ContentDescriptor) -> Bool = { other in
                guard isByName else { return other.digest == entry.digest }
                // With a name goes what it meant before.
                return other.tag == entry.tag || other.version?.name == entry.tag
            }
            removed.untagged = index.manifests.filter(goes).compactMap(\.tag)
            index.manifests.removeAll(where: goes)
            let isLeft = index.manifests.contains { $0.digest == entry.digest }
            removed.deleted = isLeft ? nil : id ?? entry.digest
        }
        return removed
    }

    private func hasNames(_ name: String, _ names: [String]) -> KernelError {
        let shown = names.map { (try? ImageReference($0))?.familiar ?? $0 }
        return KernelError(
            "remove image", name, .busy,
            remedy:
                "It has the names \(shown.joined(separator: ", ")): give one of them, or --force."
        )
    }

    private func isUsed(_ name: String, _ user: String) -> KernelError {
        KernelError(
            "remove image", name, .busy,
            remedy: "It is used by \(user); remove that first, or give --force.")
    }
}
