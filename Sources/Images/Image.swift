import Kernel
import OCISpec

/// An image that is here: what it is called, and what it says.
public struct Image: Sendable {
    /// Its name in the store, or nil for one that has lost it.
    public let reference: ImageReference?
    /// Where the manifest is.
    public let descriptor: ContentDescriptor
    /// Its layers.
    public let manifest: ImageManifest
    /// How it is run.
    public let configuration: ImageConfiguration

    /// The image's id: the digest of its configuration.
    public var id: Digest { manifest.configuration.digest }
}

extension ContentStore {
    /// Finds an image by its name, or by the first digits of its id.
    ///
    /// It reads three small files: the index, the manifest and the configuration.
    /// - Throws: `ENOENT` with the way to get one, where there is none.
    public func resolve(_ name: String) throws(KernelError) -> Image {
        let index = try index()
        let reference = try? ImageReference.parse(name)
        if let reference, let found = index.find(reference) {
            return try load(found)
        }
        if let found = try find(idPrefix: name, in: index) { return found }
        guard let reference else { throw try notParsed(name) }
        throw KernelError(
            "find image", reference.familiar, .noSuchFile,
            remedy: "`hull images` lists what is there; `hull image import` adds one.")
    }

    private func notParsed(_ name: String) throws(KernelError) -> KernelError {
        _ = try ImageReference.parse(name)
        return KernelError("find image", name, .noSuchFile)
    }

    /// Reads the manifest and the configuration behind an entry of the index.
    func load(_ entry: ContentDescriptor) throws(KernelError) -> Image {
        let descriptor = try ownManifest(entry)
        let manifest = try manifest(descriptor)
        let configuration = try configuration(manifest.configuration)
        guard configuration.diffIDs.count == manifest.layers.count else {
            throw corrupt(
                blobPath(manifest.configuration.digest),
                "It has \(configuration.diffIDs.count) diff_ids for "
                    + "\(manifest.layers.count) layers.")
        }
        return Image(
            reference: entry.tag.flatMap { try? ImageReference($0) }, descriptor: descriptor,
            manifest: manifest, configuration: configuration)
    }

    /// The manifest for this machine, where the entry is an index of several.
    private func ownManifest(_ entry: ContentDescriptor) throws(KernelError) -> ContentDescriptor {
        guard MediaType.isIndex(entry.mediaType) else { return entry }
        let index = try imageIndex(entry)
        let own = index.manifests.first { $0.platform?.matches(.host) ?? false }
        guard let own else {
            throw KernelError(
                "find image", entry.tag ?? "\(entry.digest)", .noSuchFile,
                remedy: "It is not made for \(Platform.host.architecture).")
        }
        return own
    }

    private func find(idPrefix name: String, in index: ImageIndex) throws(KernelError) -> Image? {
        let digits = name.hasPrefix("sha256:") ? String(name.dropFirst(7)) : name
        let isID = digits.utf8.count >= 4 && digits.allSatisfy { $0.isHexDigit }
        guard isID else { return nil }
        var found: Image?
        for entry in index.manifests {
            guard let image = try? load(entry), image.id.hex.hasPrefix(digits) else { continue }
            if let other = found, other.id != image.id {
                throw KernelError(
                    "find image", name, .invalidArgument,
                    remedy: "More than one id starts so; give more of its digits.")
            }
            found = image
        }
        return found
    }
}

extension ImageIndex {
    /// The entry that `reference` means. A digest counts for more than a tag.
    fileprivate func find(_ reference: ImageReference) -> ContentDescriptor? {
        if let digest = reference.digest {
            return manifests.first { $0.digest == digest }
        }
        return manifests.last { $0.tag == reference.description }
    }
}
