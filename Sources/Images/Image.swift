import Kernel
import OCISpec

/// An image that is here: what it is called, and what it says.
public struct Image: Sendable {
    /// Its name in the store, or nil for one that has none.
    public let reference: ImageReference?
    /// Its entry in the store's index: a manifest, or an index of several.
    public let entry: ContentDescriptor
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
    /// Finds an image by its name, its digest, or the first digits of its id.
    ///
    /// It reads three small files: the index, the manifest and the configuration.
    /// - Parameter platform: for which machine, where there are several; nil for this one.
    /// - Throws: `ENOENT` with the way to get one, where there is none.
    public func resolve(
        _ name: String, platform: Platform? = nil
    ) throws(KernelError) -> Image {
        try load(try entry(name), for: .machine(platform))
    }

    /// The entry of the index that a name, a digest or the first digits of an id mean, before
    /// a platform is chosen.
    ///
    /// A name counts for more than an id.
    public func entry(_ name: String) throws(KernelError) -> ContentDescriptor {
        let index = try index()
        let reference = try? ImageReference(name)
        if let reference, let found = index.find(reference) { return found }
        if let found = try find(idPrefix: name, in: index) { return found }
        // Where it is no name either, that is what is wrong with it.
        let shown = if let reference { reference } else { try ImageReference.parse(name) }
        throw KernelError(
            "find image", shown.familiar, .noSuchFile,
            remedy: "`hull images` lists what is there; `hull image import` adds one.")
    }

    /// The image behind a manifest, whether it has a name or not.
    public func image(_ manifest: ContentDescriptor) throws(KernelError) -> Image {
        try load(manifest)
    }

    /// Reads the manifest and the configuration behind an entry of the index.
    func load(
        _ entry: ContentDescriptor, for choice: PlatformChoice = .machine(nil)
    ) throws(KernelError) -> Image {
        let descriptor = try select(choice, from: entry)
        let manifest = try manifest(descriptor)
        let type = manifest.configuration.mediaType
        guard MediaType.isConfiguration(type) || type.isEmpty else {
            throw KernelError(
                "read image", entry.shownName, .invalidArgument,
                remedy: "It is no image but something else that registries keep: "
                    + "\((manifest.artifactType ?? type).prefix(100)).")
        }
        let configuration = try configuration(manifest.configuration)
        guard configuration.diffIDs.count == manifest.layers.count else {
            throw corrupt(
                blobPath(manifest.configuration.digest),
                "It has \(configuration.diffIDs.count) diff_ids for "
                    + "\(manifest.layers.count) layers.")
        }
        if case .machine(let platform?) = choice, !configuration.platform.matches(platform) {
            throw notMade(entry, for: platform, but: [configuration.platform])
        }
        return Image(
            reference: entry.tag.flatMap { try? ImageReference($0) }, entry: entry,
            descriptor: descriptor, manifest: manifest, configuration: configuration)
    }

    private func find(
        idPrefix name: String, in index: ImageIndex
    ) throws(KernelError) -> ContentDescriptor? {
        let digits = name.hasPrefix("sha256:") ? String(name.dropFirst(7)) : name
        guard (4...64).contains(digits.utf8.count), digits.allSatisfy(\.isHexDigit) else {
            return nil
        }
        var found: (id: Digest, entry: ContentDescriptor)?
        // From the back: what has a name comes behind what has lost it.
        for entry in index.manifests.reversed() {
            guard let image = try? load(entry, for: .any) else { continue }
            let isMeant = [image.id, image.descriptor.digest, entry.digest].contains {
                $0.hex.hasPrefix(digits)
            }
            guard isMeant else { continue }
            if let found, found.id != image.id {
                throw KernelError(
                    "find image", name, .invalidArgument,
                    remedy: "More than one id starts so; give more of its digits.")
            }
            if found == nil || found?.entry.tag == nil { found = (image.id, entry) }
        }
        return found?.entry
    }
}

extension ImageIndex {
    /// The entry that `reference` means. A digest counts for more than a tag.
    func find(_ reference: ImageReference) -> ContentDescriptor? {
        if let exact = manifests.last(where: { $0.isTagged(reference) }) { return exact }
        guard let digest = reference.digest else { return nil }
        let meant = manifests.filter { $0.digest == digest }
        return meant.first { $0.tag != nil } ?? meant.first
    }
}
