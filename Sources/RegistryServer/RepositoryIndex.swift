import Glibc
import Kernel
import OCISpec
import Synchronization

/// Keeps each repository's `index.json` in step with its tags.
///
/// The tags are files of their own, so the index is there for others to read: `jq`, `skopeo copy
/// oci:…`, a student. It is written a moment after a push and not by it, because it takes as long
/// as the repository has tags; ten pushes in one moment write it once.
final class RepositoryIndexes: Sendable {
    private let store: RegistryStore
    private let changed = Mutex<Set<RepositoryName>>([])

    init(in store: RegistryStore) { self.store = store }

    /// Says that the repository's tags have changed.
    func noteChange(of name: RepositoryName) { changed.withLock { _ = $0.insert(name) } }

    /// Finds those that a killed process has not written: a tag is younger than the index.
    func noteStaleOnes() throws(KernelError) {
        for name in try store.repositories() {
            let path = store.repository(name).path
            let tags = FileStatus(path + "/tags")?.modified ?? 0
            // Seconds are too coarse to tell which of the two was first.
            if tags >= FileStatus(path + "/index.json")?.modified ?? 0 { noteChange(of: name) }
        }
    }

    /// Writes those that have changed.
    func write() throws(KernelError) {
        let names = changed.withLock { names in
            defer { names = [] }
            return names
        }
        for name in names {
            let repository = store.repository(name)
            guard repository.exists else { continue }
            let text = try index(of: repository).json.text(indent: 2) + "\n"
            try store.place(text, at: repository.path + "/index.json")
        }
    }

    private func index(of repository: Repository) throws(KernelError) -> ImageIndex {
        var manifests: [ContentDescriptor] = []
        for name in try repository.tags() {
            guard let tag = Tag(name), var manifest = try repository.manifest(tag) else { continue }
            manifest.annotations["org.opencontainers.image.ref.name"] = name
            manifests.append(manifest)
        }
        return ImageIndex(manifests: manifests)
    }
}
