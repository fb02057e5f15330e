import Kernel
import OCISpec

extension ContentStore {
    /// Reads a blob back and takes its hash: the way out of doubt.
    ///
    /// - Parameter size: the length it has to have; nil where any will do.
    /// - Throws: `EBADMSG` where it is not what its digest says, `ENOENT` where it is not here.
    public func verify(_ digest: Digest, size: Int? = nil) throws(KernelError) {
        let name = blobPath(digest)
        let source = HashingSource(FileSource(try open(digest), named: name), digest.algorithm)
        let buffer = WorkBuffer()
        var count = 0
        while true {
            let got = try source.read(into: buffer.bytes)
            if got == 0 { break }
            count += got
        }
        if let size, size != count {
            throw corrupt(name, "It has \(count) bytes instead of \(size).")
        }
        guard source.digest == digest else {
            throw corrupt(name, "Its content has another digest; import or pull it again.")
        }
    }

    /// Reads back all that an entry of the index leads to.
    ///
    /// Of an index of several, the manifests that are here: others need not be.
    /// - Returns: how many blobs there are.
    /// - Throws: what ``verify(_:size:)`` throws, and `EBADMSG` where a document makes no sense.
    public func verify(image entry: ContentDescriptor) throws(KernelError) -> Int {
        var seen: Set<Digest> = []
        try verify(image: entry, depth: 0, &seen)
        return seen.count
    }

    private func verify(
        image entry: ContentDescriptor, depth: Int, _ seen: inout Set<Digest>
    ) throws(KernelError) {
        // First the hash: then it is known whose words the rest are.
        try verify(entry.digest, size: entry.size)
        seen.insert(entry.digest)
        if MediaType.isIndex(entry.mediaType) {
            for child in try imageIndex(entry).manifests
            where depth < 4 && has(child.digest) && !seen.contains(child.digest) {
                try verify(image: child, depth: depth + 1, &seen)
            }
            return
        }
        let manifest = try manifest(entry)
        for blob in [manifest.configuration] + manifest.layers {
            try verify(blob.digest, size: blob.size)
            seen.insert(blob.digest)
        }
        if MediaType.isConfiguration(manifest.configuration.mediaType) { _ = try load(entry) }
    }
}
