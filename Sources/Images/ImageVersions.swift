import Kernel
import OCISpec

/// What a name means, or meant once.
public struct ImageVersion: Sendable {
    /// The entry of the index.
    public let entry: ContentDescriptor
    /// The image's id; nil where it cannot be read.
    public let id: Digest?
    /// When the image was made, as it says.
    public let created: Timestamp?
    /// Until when the name meant this; nil for what it means now.
    public let until: Timestamp?
}

extension ContentStore {
    /// What a name means, and then what it meant before, the newest first.
    /// - Throws: `ENOENT` where it never meant anything.
    public func versions(of reference: ImageReference) throws(KernelError) -> [ImageVersion] {
        let entries = try index().manifests.filter {
            $0.isTagged(reference) || $0.isVersion(of: reference)
        }
        if entries.isEmpty { throw isUnknown(reference) }
        // What it means now always comes last, and the others in the order of their end.
        return entries.reversed().map { entry in
            let image = try? load(entry, for: .any)
            return ImageVersion(
                entry: entry, id: image?.id, created: image?.configuration.created,
                until: entry.version?.until)
        }
    }

    /// Lets a name mean again what it meant before. What it means now becomes an earlier version.
    ///
    /// - Parameter digits: how the id or the digest of the version begins; nil for the last one.
    /// - Returns: what it means now.
    /// - Throws: `ENOENT` where there is no such version, `EINVAL` where there are several.
    @discardableResult
    public func revert(
        _ reference: ImageReference, to digits: String? = nil
    ) throws(KernelError) -> ImageVersion {
        let earlier = try versions(of: reference).filter { $0.until != nil }
        let meant = earlier.filter { version in
            guard let digits else { return true }
            return [version.id, version.entry.digest].contains { digest in
                digest.map { $0.hex.hasPrefix(digits) || $0.description == digits } ?? false
            }
        }
        guard let version = meant.first else {
            let remedy =
                earlier.isEmpty
                ? "It has meant nothing else before." : "`hull image versions` lists what there is."
            throw KernelError(
                "find version", "\(reference.familiar) \(digits ?? "")", .noSuchFile, remedy: remedy
            )
        }
        if digits != nil, meant.contains(where: { $0.entry.digest != version.entry.digest }) {
            throw KernelError(
                "find version", digits ?? "", .invalidArgument,
                remedy: "More than one begins so; give more of its digits.")
        }
        try changeIndex { index throws(KernelError) in
            // Somebody may have collected it since we looked.
            guard has(version.entry.digest) else { throw isUnknown(reference) }
            index.tag(version.entry.withoutName, as: reference)
        }
        return version
    }

    func isUnknown(_ reference: ImageReference) -> KernelError {
        KernelError(
            "find image", reference.familiar, .noSuchFile,
            remedy: "`hull images` lists what is there.")
    }
}
