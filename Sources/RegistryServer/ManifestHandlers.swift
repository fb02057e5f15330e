import HTTPTypes
import HummingbirdCore
import Images
import Kernel
import NIOCore
import OCISpec

/// Manifests: pull, push, delete. See distribution-spec, "Pulling manifests", "Pushing Manifests".
extension RegistryHandler {
    func getManifest(
        _ name: RepositoryName, _ reference: ManifestReference, _ request: Request
    ) throws -> Answer {
        let repository = store.repository(name)
        guard let manifest = try find(reference, in: repository) else {
            throw RegistryError.manifestUnknown("\(reference)")
        }
        let headers: HTTPFields = [
            .contentType: manifest.mediaType, .contentDigest: manifest.digest.description,
            .eTag: "\"\(manifest.digest)\"",
        ]
        if request.names(manifest.digest, in: .ifNoneMatch) {
            return Answer(.notModified, headers)
        }
        if request.method == .head { return Answer(.ok, headers, length: manifest.size) }
        let bytes = try readFile(repository.blobPath(manifest.digest))
        return Answer(.ok, headers, bytes: ByteBuffer(bytes: bytes))
    }

    private func find(
        _ reference: ManifestReference, in repository: Repository
    ) throws(KernelError) -> ContentDescriptor? {
        switch reference {
        case .tag(let tag): try repository.manifest(tag)
        case .digest(let digest): try repository.manifest(digest)
        }
    }

    func putManifest(
        _ name: RepositoryName, _ reference: ManifestReference, _ query: Query,
        _ request: Request, _ body: IncomingBody, _ writer: borrowing ResponseWriter
    ) async throws -> Answer {
        let limit = options.maximumManifest
        let tooLarge = RegistryError(
            .contentTooLarge, .sizeInvalid, "A manifest may have \(limit) bytes at most.")
        if let length = body.length, length > limit { throw tooLarge }
        try await body.invite(writer)
        let bytes = try await body.all(limit: limit, tooLarge)
        let digest = try checkedDigest(bytes, reference)
        let tags = try namedTags(reference, query)
        let manifest = try PushedManifest(bytes, contentType: request.headers[.contentType])
        try await offload {
            try store.changing(name) {
                try check(reference, request, in: store.repository(name))
                try add(manifest, bytes, digest, tags, to: store.repository(name))
            }
        }
        indexes.noteChange(of: name)
        return created(name, digest, manifest.subject, pushedTags: query.all("tag"))
    }

    private func add(
        _ manifest: PushedManifest, _ bytes: [UInt8], _ digest: Digest, _ tags: [Tag],
        to repository: Repository
    ) throws {
        if let missing = repository.missing(for: manifest) {
            throw RegistryError(
                .badRequest, .manifestBlobUnknown,
                "The manifest needs \(missing), which is not in this repository: push it first.")
        }
        try store.usage.reserve(bytes.count)
        let isNew = FileStatus(store.blobPath(digest)) == nil
        defer { if !isNew { store.usage.release(bytes.count) } }
        _ = try repository.add(manifest, bytes, digest, tags: tags)
    }

    /// Lets a client change a tag only if it still is what the client believes.
    private func check(
        _ reference: ManifestReference, _ request: Request, in repository: Repository
    ) throws {
        let isConditional = request.headers[.ifMatch] != nil || request.headers[.ifNoneMatch] != nil
        guard isConditional else { return }
        let current = try find(reference, in: repository)?.digest
        let isWanted = current.map { request.names($0, in: .ifMatch) } ?? false
        let isUnwanted = current.map { request.names($0, in: .ifNoneMatch) } ?? false
        if (request.headers[.ifMatch] != nil && !isWanted) || isUnwanted {
            throw RegistryError(
                .preconditionFailed, .denied,
                "\(reference) means \(current?.description ?? "nothing") by now.")
        }
    }

    private func checkedDigest(
        _ bytes: [UInt8], _ reference: ManifestReference
    ) throws(RegistryError) -> Digest {
        guard case .digest(let wanted) = reference else { return hash(bytes, .sha256) }
        let actual = hash(bytes, wanted.algorithm)
        guard actual == wanted else {
            throw RegistryError(
                .badRequest, .digestInvalid, "The manifest has the digest \(actual), not \(wanted)."
            )
        }
        return actual
    }

    private func hash(_ bytes: [UInt8], _ algorithm: Digest.Algorithm) -> Digest {
        var hash = ContentHasher(algorithm)
        bytes.withUnsafeBytes { hash.update($0) }
        return hash.digest
    }

    private func namedTags(
        _ reference: ManifestReference, _ query: Query
    ) throws(RegistryError) -> [Tag] {
        if case .tag(let tag) = reference { return [tag] }
        return try query.all("tag").map { text throws(RegistryError) in
            guard let tag = Tag(text) else {
                throw RegistryError(.badRequest, .manifestInvalid, "'\(text)' cannot be a tag.")
            }
            return tag
        }
    }

    private func created(
        _ name: RepositoryName, _ digest: Digest, _ subject: Digest?, pushedTags: [String]
    ) -> Answer {
        var headers: HTTPFields = [
            .location: "/v2/\(name)/manifests/\(digest)", .contentDigest: digest.description,
        ]
        headers[.ociSubject] = subject?.description
        headers[values: .ociTag] = pushedTags
        return Answer(.created, headers)
    }

    func deleteManifest(
        _ name: RepositoryName, _ reference: ManifestReference
    ) async throws -> Answer {
        let repository = store.repository(name)
        let wasThere = try await offload {
            try store.changing(name) { () throws(KernelError) -> Bool in
                switch reference {
                case .tag(let tag): try repository.remove(tag)
                case .digest(let digest): try repository.removeManifest(digest)
                }
            }
        }
        if !wasThere { throw RegistryError.manifestUnknown("\(reference)") }
        indexes.noteChange(of: name)
        return Answer(.accepted)
    }
}
