import Kernel
import OCISpec

/// An image in an archive, complete and checked: all that has to be done is to keep it.
struct ArchivedImage {
    /// What leads to it: its manifest, or an index of several for different machines.
    var descriptor: ContentDescriptor
    /// The digest of its configuration, or of the index.
    var id: Digest
    /// What it is called.
    var references: [ImageReference]
    /// All that belongs to it.
    var files: [StagedFile]
}

/// Compares layers with what their image's configuration says of them.
struct LayerCheck {
    private struct Known: Hashable {
        let digest: Digest
        let diffID: Digest
    }

    private let limits: UnpackLimits?
    private let progress: ProgressHandler
    // Images share layers.
    private var passed: Set<Known> = []

    /// - Parameter limits: how large a layer may become; nil for what the environment says.
    init(limits: UnpackLimits?, progress: @escaping ProgressHandler) {
        self.limits = limits
        self.progress = progress
    }

    /// Unpacks a layer as far as memory, and takes the digest of the archive that comes out.
    ///
    /// - Throws: `EBADMSG` where it is not what the configuration says.
    mutating func check(_ layer: StagedFile, is diffID: Digest) throws(KernelError) {
        let pair = Known(digest: layer.digest, diffID: diffID)
        // A layer that is not compressed is its own content.
        if layer.digest == diffID || passed.contains(pair) { return }
        let name = "layer \(layer.digest.short)"
        let total = layer.size
        let content = try layer.open { [progress] done in
            progress(Progress(step: "Checking", done: done, total: total))
        }
        let archive = try unpacked(content, named: name, limits: limits)
        let plain = HashingSource(archive, diffID.algorithm)
        try plain.drain()
        guard plain.digest == diffID else {
            throw corrupt(name, "Its content is not what the image's configuration says.")
        }
        passed.insert(pair)
    }
}
