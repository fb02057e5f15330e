import Glibc
import Kernel
import OCISpec

/// How a manifest gets into a repository and out of it again.
///
/// The order is what makes it safe to be killed at any moment: first what is pointed at, then
/// what points. A tag is the last to come and the first to go.
extension Repository {
    // book: begin add-manifest
    /// Writes a manifest whose blobs are all there.
    func add(
        _ manifest: PushedManifest, _ bytes: [UInt8], _ digest: Digest, tags: [Tag]
    ) throws(KernelError) -> ContentDescriptor {
        let descriptor = ContentDescriptor(
            mediaType: manifest.mediaType, digest: digest, size: bytes.count)
        try make()
        if try !adopt(digest) {
            try write(bytes, digest)
            _ = try adopt(digest)
        }
        if let subject = manifest.subject {
            try note(manifest, descriptor, asReferrerOf: subject)
        }
        try store.place(descriptor.json.text() + "\n", at: manifestPath(digest))
        for tag in tags { try set(tag, to: descriptor) }
        return descriptor
    }
    // book: end add-manifest

    /// Takes a manifest out, with all tags that mean it.
    /// - Returns: false where it was not there.
    func removeManifest(_ digest: Digest) throws(KernelError) -> Bool {
        guard try manifest(digest) != nil else { return false }
        for name in try tags() {
            guard let tag = Tag(name), try manifest(tag)?.digest == digest else { continue }
            _ = try remove(tag)
        }
        if let subject = try subject(of: digest) {
            _ = try remove(referrersPath(subject) + "/" + digest.fileName)
        }
        _ = try remove(manifestPath(digest))
        return try removeBlob(digest)
    }

    /// What is missing for the manifest to be complete.
    func missing(for manifest: PushedManifest) -> Digest? {
        manifest.blobs.first { !hasBlob($0) }
            ?? manifest.manifests.first { access(manifestPath($0), F_OK) != 0 }
    }

    private func write(_ bytes: [UInt8], _ digest: Digest) throws(KernelError) {
        let temporary = store.root + "/tmp/" + randomName()
        let file = try Descriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode: 0o400)
        defer { unlink(temporary) }
        do { try file.write(bytes) } catch { throw error.renamed("write", temporary) }
        if fsync(file.number) < 0 { throw KernelError("fsync", temporary, .current) }
        let linked = link(temporary, store.blobPath(digest))
        let errno = Errno.current
        if linked < 0 && errno != .fileExists {
            throw KernelError("link", store.blobPath(digest), errno)
        }
        try syncDirectory(holding: store.blobPath(digest))
    }

    private func subject(of digest: Digest) throws(KernelError) -> Digest? {
        let bytes = try readFile(blobPath(digest), limit: 64 << 20)
        guard let json = try? JSON.parse(bytes, limit: 64 << 20) else { return nil }
        return try? JSONReader(json)["subject"]["digest"].digest()
    }

    // Referrers. See distribution-spec, "Listing Referrers".

    private func referrersPath(_ subject: Digest) -> String {
        "\(path)/referrers/\(subject.algorithm.name)/\(subject.hex)"
    }

    private func note(
        _ manifest: PushedManifest, _ descriptor: ContentDescriptor, asReferrerOf subject: Digest
    ) throws(KernelError) {
        let directory = referrersPath(subject)
        try makeDirectories(directory, mode: 0o700, why: "who refers to a manifest")
        let json = JSON.object(present: [
            ("mediaType", .string(descriptor.mediaType)),
            ("digest", .string(descriptor.digest.description)), ("size", .integer(descriptor.size)),
            ("artifactType", manifest.artifactType.map(JSON.string)),
            ("annotations", manifest.annotations),
        ])
        try store.place(json.text() + "\n", at: directory + "/" + descriptor.digest.fileName)
    }

    /// The files of those that name `subject`, in order.
    func referrers(of subject: Digest) throws(KernelError) -> [String] {
        do { return try namesInDirectory(referrersPath(subject)) } catch
            where error.errno == .noSuchFile
        {
            return []
        }
    }

    /// The descriptor in one of those files; nil where it is gone.
    func referrer(_ file: String, of subject: Digest) throws(KernelError) -> JSON? {
        guard let bytes = try? readFile(referrersPath(subject) + "/" + file) else { return nil }
        return try? JSON.parse(bytes)
    }
}

extension Digest {
    /// A file's name that says it all.
    fileprivate var fileName: String { algorithm.name + "-" + hex }
}
