import Glibc
import Kernel
import OCISpec

// index.json: which name means which manifest, and what it meant before.
//
// Every entry is a descriptor of a manifest, or of an index of several, with annotations:
//
//     a name          org.opencontainers.image.ref.name, io.containerd.image.name
//     an old meaning  hull.version.name, hull.version.until
//     neither         an image without a name
//
// Whoever changes it holds ROOT/images/lock and replaces the file as a whole.
extension ContentStore {
    /// How many earlier meanings of a name are kept.
    public static let versionLimit = 5

    /// What is tagged; empty where there is no store yet.
    public func index() throws(KernelError) -> ImageIndex {
        let bytes: [UInt8]
        do { bytes = try readFile(indexPath, limit: 16 << 20) } catch
            where error.errno == .noSuchFile
        {
            return ImageIndex()
        }
        do { return try ImageIndex(JSONReader(try JSON.parse(bytes))) } catch {
            throw error.asKernelError(reading: indexPath)
        }
    }

    /// Lets `reference` mean `manifest` from now on.
    ///
    /// What it meant before is kept as an earlier version, up to ``versionLimit`` of them.
    /// - Parameter reference: nil for an image that gets no name.
    public func tag(
        _ manifest: ContentDescriptor, as reference: ImageReference?
    ) throws(KernelError) {
        try changeIndex { index in
            if let reference {
                index.tag(manifest, as: reference)
            } else if !index.manifests.contains(where: { $0.digest == manifest.digest }) {
                index.manifests.append(manifest.withoutName)
            }
        }
    }

    /// Takes a name away, and with it what it meant before.
    ///
    /// The blobs stay until the garbage is collected.
    /// - Returns: what it meant; nil where it is no name.
    @discardableResult
    public func untag(_ reference: ImageReference) throws(KernelError) -> ContentDescriptor? {
        var found: ContentDescriptor?
        try changeIndex { index in
            found = index.manifests.last { $0.isTagged(reference) }
            index.manifests.removeAll { $0.isTagged(reference) || $0.isVersion(of: reference) }
        }
        return found
    }

    /// Changes index.json as its only writer; a change that throws, or that changes nothing,
    /// writes nothing.
    func changeIndex(
        _ change: (inout ImageIndex) throws(KernelError) -> Void
    ) throws(KernelError) {
        try makeLayout()
        let lock = try FileLock(lockPath)
        try removeUnfinishedIndexes()
        let before = try index()
        var index = before
        try change(&index)
        if index != before {
            try replaceFile(indexPath, with: (index.json.text(indent: 2) + "\n").utf8)
        }
        _ = consume lock
    }

    /// Whoever holds the lock is the only one to write these; others' are a dead process's.
    private func removeUnfinishedIndexes() throws(KernelError) {
        for name in try namesInDirectory(path) where name.hasSuffix(".tmp") {
            try removeTree(path + "/" + name)
        }
    }
}

extension ImageIndex {
    /// The new meaning comes last, and the old one becomes a version.
    mutating func tag(_ manifest: ContentDescriptor, as reference: ImageReference) {
        let now = Timestamp.now
        for position in manifests.indices where manifests[position].isTagged(reference) {
            manifests[position] = manifests[position].asVersion(of: reference, until: now)
        }
        // What has the name needs to be neither without one nor an earlier version of itself.
        manifests.removeAll {
            $0.digest == manifest.digest && ($0.isNameless || $0.isVersion(of: reference))
        }
        let versions = manifests.indices.filter { manifests[$0].isVersion(of: reference) }
        for position in versions.dropLast(ContentStore.versionLimit).reversed() {
            manifests.remove(at: position)
        }
        manifests.append(manifest.tagged(reference))
    }
}

/// How a name is kept in index.json.
///
/// The layout's own annotation holds the whole name, which is what podman and skopeo look for.
/// containerd reads another one, and takes the first for the tag alone.
extension ContentDescriptor {
    private static let name = "org.opencontainers.image.ref.name"
    private static let containerdName = "io.containerd.image.name"
    private static let versionName = "hull.version.name"
    private static let versionUntil = "hull.version.until"

    /// The name in the index, as it was written.
    public var tag: String? { annotations[Self.containerdName] ?? annotations[Self.name] }

    /// What an error or a list calls it: its name as people write it, or its digest.
    public var shownName: String {
        guard let tag else { return "\(digest)" }
        return (try? ImageReference(tag))?.familiar ?? tag
    }

    /// The name that meant this once, and until when.
    var version: (name: String, until: Timestamp)? {
        guard let name = annotations[Self.versionName] else { return nil }
        let until = annotations[Self.versionUntil].flatMap { Timestamp($0) }
        return (name, until ?? Timestamp(seconds: 0))
    }

    var isNameless: Bool { tag == nil && annotations[Self.versionName] == nil }

    func isTagged(_ reference: ImageReference) -> Bool { tag == reference.description }

    func isVersion(of reference: ImageReference) -> Bool {
        annotations[Self.versionName] == reference.description
    }

    /// The descriptor, whatever it was called.
    public var withoutName: ContentDescriptor {
        var copy = self
        for name in [Self.name, Self.containerdName, Self.versionName, Self.versionUntil] {
            copy.annotations[name] = nil
        }
        return copy
    }

    func tagged(_ reference: ImageReference) -> ContentDescriptor {
        var copy = withoutName
        copy.annotations[Self.name] = reference.description
        copy.annotations[Self.containerdName] = reference.description
        return copy
    }

    func asVersion(of reference: ImageReference, until: Timestamp) -> ContentDescriptor {
        var copy = withoutName
        copy.annotations[Self.versionName] = reference.description
        copy.annotations[Self.versionUntil] = until.description
        return copy
    }
}
