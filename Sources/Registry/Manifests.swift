import Images
import Kernel
import NIOHTTP1
import OCISpec

/// A manifest or an index as a registry has it: its very bytes, whose hash is its name.
public struct ManifestDocument: Sendable {
    /// What it is, and its digest.
    public let descriptor: ContentDescriptor
    /// Its bytes, never written anew.
    public let bytes: [UInt8]
    /// What they say.
    public let json: JSON

    /// Whether it lists others.
    public var isIndex: Bool { MediaType.isIndex(descriptor.mediaType) }

    /// The manifests that it lists.
    func index() throws(TransferFailure) -> ImageIndex {
        try read { json throws(SpecificationError) in try ImageIndex(json) }
    }

    /// The image that it is.
    func manifest() throws(TransferFailure) -> ImageManifest {
        try read { json throws(SpecificationError) in try ImageManifest(json) }
    }

    private func read<Content>(
        _ decode: (JSONReader) throws(SpecificationError) -> Content
    ) throws(TransferFailure) -> Content {
        do { return try decode(JSONReader(json)) } catch {
            throw TransferFailure(
                KernelError(
                    "read manifest", "\(descriptor.digest)", .badMessage, remedy: "\(error)."))
        }
    }
}

extension RegistryClient {
    /// What the registry may answer with, the image-spec's types first.
    private static let accepted = [
        MediaType.index, MediaType.manifest,
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]

    /// Gets a manifest by its tag or its digest, and checks that it is the one.
    ///
    /// - Parameter expected: what it has to be. Without that, the registry's word is taken for
    ///   which manifest a tag means; nobody else knows.
    func manifest(
        _ name: String, of repository: String, expecting expected: Digest?
    ) async throws(TransferFailure) -> ManifestDocument {
        let headers = Self.accepted.map { (name: "Accept", value: $0) }
        let answer = try await ask(
            .GET, "\(repository)/manifests/\(name)", headers: headers, for: .pull(repository))
        let object = "\(registry)/\(repository)" + (expected == nil ? ":" : "@") + name
        guard answer.status == 200 else { throw await refusal(answer, "pull", object) }
        let bytes = try await answer.bytes(limit: Limits.manifest)
        let digest = digest(of: bytes, expected?.algorithm ?? .sha256)
        if let expected, expected != digest {
            throw lie(object, "What came instead has the digest \(digest).")
        }
        try check(answer.header("Docker-Content-Digest"), against: bytes, object)
        return try document(bytes, digest, contentType: answer.header("Content-Type"), object)
    }

    /// The header is a promise that costs nothing to check.
    private func check(
        _ header: String?, against bytes: [UInt8], _ object: String
    ) throws(TransferFailure) {
        guard let header else { return }
        guard let promised = try? Digest(header) else {
            throw lie(object, "Its Docker-Content-Digest is no digest.")
        }
        guard digest(of: bytes, promised.algorithm) == promised else {
            throw lie(object, "The registry calls it \(promised), which it is not.")
        }
    }

    // book: begin one-meaning
    /// Takes a manifest that can be read in one way only.
    ///
    /// The type travels beside the bytes whose hash was checked, and whoever sits in between may
    /// change it: then one program sees an image where the other sees an index.
    private func document(
        _ bytes: [UInt8], _ digest: Digest, contentType: String?, _ object: String
    ) throws(TransferFailure) -> ManifestDocument {
        let json: JSON
        do { json = try JSON.parse(bytes, limit: Limits.manifest) } catch {
            throw lie(object, "\(error).")
        }
        let said = contentType?.split(separator: ";").first.map { $0.lowercased() }
        var own: String?
        if case .string(let type)? = json["mediaType"] { own = type }
        if let own, let said, Self.accepted.contains(said), own != said {
            throw lie(object, "It is sent as \(said) and calls itself \(own).")
        }
        if json["manifests"] != nil && (json["layers"] != nil || json["config"] != nil) {
            throw lie(object, "It is an index and a manifest at once.")
        }
        guard let type = own ?? said, Self.accepted.contains(type) else {
            throw lie(
                object,
                "Its type is \((own ?? said ?? "not said").prefix(100)), which is no image's.")
        }
        return ManifestDocument(
            descriptor: ContentDescriptor(mediaType: type, digest: digest, size: bytes.count),
            bytes: bytes, json: json)
    }
    // book: end one-meaning

    private func lie(_ object: String, _ problem: String) -> TransferFailure {
        TransferFailure(KernelError("pull", object, .badMessage, remedy: problem))
    }

    /// Puts a manifest in place under a tag or its digest.
    func put(
        _ document: ManifestDocument, as name: String, in repository: String
    ) async throws(TransferFailure) {
        let object = "\(registry)/\(repository):\(name)"
        let answer = try await retrying(transport.settings) { () async throws(TransferFailure) in
            let address = try await self.address("\(repository)/manifests/\(name)")
            var request = Request(method: .PUT, address: address, body: .bytes(document.bytes))
            request.set("Content-Type", document.descriptor.mediaType)
            let answer = try await self.send(request, for: .push(repository))
            if let failure = transientFailure(answer) { throw failure }
            return answer
        }
        guard answer.status == 201 || answer.status == 200 else {
            throw await refusal(answer, "push", object)
        }
        if let header = answer.header("Docker-Content-Digest"),
            header != document.descriptor.digest.description,
            (try? Digest(header))?.algorithm == document.descriptor.digest.algorithm
        {
            throw TransferFailure(
                KernelError(
                    "push", object, .badMessage,
                    remedy: "The registry has stored something else: \(header.prefix(200))."))
        }
        await answer.discard()
    }
}
