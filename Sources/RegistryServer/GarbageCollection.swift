import Glibc
import Kernel
import OCISpec

/// Takes away what nothing leads to any more.
///
/// First from each repository: blobs that none of its manifests needs. Then from the store: blobs
/// that no repository has, which the file system knows, because such a file has one name only.
/// What is younger than an hour stays, since a push brings the blobs before the manifest.
struct GarbageCollection {
    /// What was taken away, or would be.
    struct Result: Sendable {
        var blobs = 0
        var bytes = 0
    }

    let store: RegistryStore
    /// How old something must be, in seconds.
    var age = 3600
    /// Whether manifests go that no tag leads to.
    var takesUntagged = false
    /// Whether it only counts.
    var isRehearsal = false

    /// Collects in all repositories and in the store.
    func run() throws(KernelError) -> Result {
        for name in try store.repositories() {
            try store.changing(name) { () throws(KernelError) in
                try collect(in: store.repository(name))
            }
        }
        return try collectUnowned()
    }

    private func collect(in repository: Repository) throws(KernelError) {
        var needed = try roots(of: repository)
        var unread = Array(needed)
        while let digest = unread.popLast() {
            for other in try references(of: digest, in: repository)
            where needed.insert(other).inserted { unread.append(other) }
        }
        for digest in try repository.manifests() where !needed.contains(digest) {
            guard isOld(repository.manifestPath(digest)), !isRehearsal else { continue }
            _ = try repository.removeManifest(digest)
        }
        for digest in try repository.blobs() where !needed.contains(digest) {
            guard isOld(repository.blobPath(digest)), !isRehearsal else { continue }
            _ = try repository.removeBlob(digest)
        }
    }

    /// The manifests that stay whatever leads to them: all, or those with a tag.
    private func roots(of repository: Repository) throws(KernelError) -> Set<Digest> {
        if !takesUntagged { return Set(try repository.manifests()) }
        var roots: Set<Digest> = []
        for name in try repository.tags() {
            if let tag = Tag(name), let manifest = try repository.manifest(tag) {
                roots.insert(manifest.digest)
            }
        }
        return roots
    }

    /// What a manifest needs, and who says something about it.
    private func references(
        of digest: Digest, in repository: Repository
    ) throws(KernelError) -> [Digest] {
        guard let descriptor = try repository.manifest(digest) else { return [] }
        let bytes = try readFile(repository.blobPath(digest))
        guard let manifest = try? PushedManifest(bytes, contentType: descriptor.mediaType) else {
            return []
        }
        var references = manifest.blobs + manifest.manifests
        for file in try repository.referrers(of: digest) {
            guard let referrer = try repository.referrer(file, of: digest),
                let found = try? JSONReader(referrer)["digest"].digest()
            else { continue }
            references.append(found)
        }
        return references
    }

    private func collectUnowned() throws(KernelError) -> Result {
        var result = Result()
        for directory in RegistryStore.blobDirectories {
            for name in try namesInDirectory(store.root + directory) {
                let path = store.root + directory + "/" + name
                guard let status = FileStatus(path), status.links == 1, isOld(path) else {
                    continue
                }
                result.blobs += 1
                result.bytes += status.size
                if isRehearsal { continue }
                // A push that links to it just now keeps its file all the same.
                unlink(path)
                store.usage.release(status.size)
            }
        }
        return result
    }

    private func isOld(_ path: String) -> Bool { FileStatus(path)?.isOlder(than: age) ?? false }
}
