import Glibc
import Kernel
import OCISpec

/// One repository: an OCI image layout of its own.
///
///     oci-layout, index.json      what other programs read; see ``RepositoryIndex``
///     blobs/sha256/DIGITS         its blobs: hard links to the store's
///     manifests/sha256/DIGITS     which of the blobs are manifests, and their media types
///     tags/TAG                    one small file a tag: the descriptor of a manifest
///     referrers/sha256/DIGITS/…   who names this manifest as its subject
///
/// A push writes a file for each tag it sets and no list of all of them, so it takes as long
/// with ten thousand tags as with one.
struct Repository {
    let name: RepositoryName
    let path: String
    let store: RegistryStore

    init(_ name: RepositoryName, in store: RegistryStore) {
        self.name = name
        self.store = store
        path = store.root + "/repositories/" + name.directoryName
    }

    /// Whether anything was ever pushed here.
    var exists: Bool { access(path + "/oci-layout", F_OK) == 0 }

    /// Makes the layout, where there is none yet.
    func make() throws(KernelError) {
        if exists { return }
        for algorithm in Digest.Algorithm.allCases {
            for kind in ["blobs", "manifests", "referrers"] {
                try makeDirectories(
                    "\(path)/\(kind)/\(algorithm.name)", mode: 0o700, why: "a repository")
            }
        }
        try makeDirectories(path + "/tags", mode: 0o700, why: "the tags of a repository")
        try store.place(ImageIndex().json.text(indent: 2) + "\n", at: path + "/index.json")
        // Last, because it says that the rest is there.
        try store.place(#"{"imageLayoutVersion":"1.0.0"}"#, at: path + "/oci-layout")
    }

    // Blobs

    func blobPath(_ digest: Digest) -> String {
        "\(path)/blobs/\(digest.algorithm.name)/\(digest.hex)"
    }

    func hasBlob(_ digest: Digest) -> Bool { access(blobPath(digest), F_OK) == 0 }

    // book: begin adopt
    /// Gives the repository a blob of the store's.
    /// - Returns: false where the store does not have it, or it has as many names as the file
    ///   system allows.
    func adopt(_ digest: Digest) throws(KernelError) -> Bool {
        if hasBlob(digest) { return true }
        try make()
        if link(store.blobPath(digest), blobPath(digest)) == 0 {
            try syncDirectory(holding: blobPath(digest))
            return true
        }
        let errno = Errno.current
        switch errno {
        case .fileExists: return true
        case .noSuchFile, Errno(rawValue: EMLINK): return false
        default: throw KernelError("link", blobPath(digest), errno)
        }
    }
    // book: end adopt

    /// Takes the blob from the repository; the store keeps it until it is collected.
    /// - Returns: false where the repository does not have it.
    func removeBlob(_ digest: Digest) throws(KernelError) -> Bool {
        try remove(blobPath(digest))
    }

    // Tags

    /// The names of all tags, in ASCII order.
    func tags() throws(KernelError) -> [String] {
        do { return try namesInDirectory(path + "/tags") } catch  where error.errno == .noSuchFile {
            return []
        }
    }

    /// The manifest that the tag means; nil where there is no such tag.
    func manifest(_ tag: Tag) throws(KernelError) -> ContentDescriptor? {
        try descriptor(path + "/tags/\(tag)")
    }

    /// Lets `tag` mean `manifest` from now on.
    func set(_ tag: Tag, to manifest: ContentDescriptor) throws(KernelError) {
        try store.place(manifest.json.text() + "\n", at: path + "/tags/\(tag)")
    }

    /// - Returns: false where there was no such tag.
    func remove(_ tag: Tag) throws(KernelError) -> Bool { try remove(path + "/tags/\(tag)") }

    // Manifests

    func manifestPath(_ digest: Digest) -> String {
        "\(path)/manifests/\(digest.algorithm.name)/\(digest.hex)"
    }

    /// The manifest with this digest; nil where it is not one of this repository's.
    func manifest(_ digest: Digest) throws(KernelError) -> ContentDescriptor? {
        try descriptor(manifestPath(digest))
    }

    /// The digests of all manifests.
    func manifests() throws(KernelError) -> [Digest] { try digests(in: "manifests") }

    /// The digests of all blobs, manifests too.
    func blobs() throws(KernelError) -> [Digest] { try digests(in: "blobs") }

    // Small things

    private func digests(in kind: String) throws(KernelError) -> [Digest] {
        var digests: [Digest] = []
        for algorithm in Digest.Algorithm.allCases {
            let directory = "\(path)/\(kind)/\(algorithm.name)"
            guard fileType(directory) != nil else { continue }
            for name in try namesInDirectory(directory) {
                if let digest = try? Digest("\(algorithm.name):\(name)") { digests.append(digest) }
            }
        }
        return digests
    }

    private func descriptor(_ path: String) throws(KernelError) -> ContentDescriptor? {
        let bytes: [UInt8]
        do { bytes = try readFile(path, limit: 1 << 16) } catch
            where error.errno == .noSuchFile || error.errno == .notDirectory
        {
            return nil
        }
        do { return try ContentDescriptor(JSONReader(try JSON.parse(bytes))) } catch {
            throw KernelError("read", path, Errno(rawValue: EBADMSG), remedy: "\(error).")
        }
    }

    func remove(_ path: String) throws(KernelError) -> Bool {
        if unlink(path) == 0 {
            try syncDirectory(holding: path)
            return true
        }
        let errno = Errno.current
        if errno == .noSuchFile || errno == .notDirectory { return false }
        throw KernelError("unlink", path, errno)
    }
}
