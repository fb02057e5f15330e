import Kernel
import OCISpec

/// A line of `hull images`.
public struct ImageSummary: Sendable {
    /// The image's name; nil for one whose name another took over.
    public let reference: ImageReference?
    /// The digest of its configuration.
    public let id: Digest
    /// When it was made.
    public let created: Timestamp?
    /// How many bytes its files have, unpacked, as far as it is unpacked here;
    /// packed otherwise.
    public let size: Int
}

extension ContentStore {
    /// What is here, the newest first.
    ///
    /// An entry that cannot be read is left out: it must not hide the others.
    /// - Parameter withVersions: whether what names meant before is listed too.
    public func images(
        _ snapshots: Snapshots, withVersions: Bool = false
    ) throws(KernelError) -> [ImageSummary] {
        let entries = try index().manifests.filter { withVersions || $0.version == nil }
        let images = entries.compactMap { try? load($0, for: .any) }
        return images.map { image in
            let packed = image.manifest.layers.reduce(0) { $0 + $1.size }
            return ImageSummary(
                reference: image.reference, id: image.id, created: image.configuration.created,
                size: snapshots.size(of: image) ?? packed)
        }.sorted { left, right in
            let epoch = Timestamp(seconds: 0)
            return (left.created ?? epoch) > (right.created ?? epoch)
        }
    }
}
