import Images
import Kernel
import NIOHTTP1
import OCISpec

/// Small questions to a registry, for which nothing is stored.
public struct RegistryQuestions: Sendable {
    /// How to go about it.
    public var settings: TransferSettings

    /// Questions asked that way.
    public init(_ settings: TransferSettings) { self.settings = settings }

    /// What a name means at its registry: the manifest or the index, checked.
    public func manifest(_ reference: ImageReference) async throws(KernelError) -> ManifestDocument
    {
        try await asking(reference.registry) { client async throws(TransferFailure) in
            try await client.manifest(
                reference.digest?.description ?? reference.tag ?? "latest",
                of: reference.repository, expecting: reference.digest)
        }
    }

    /// The configuration of an image, as the registry has it; out of an index, that for this
    /// machine.
    public func configuration(
        of document: ManifestDocument, _ reference: ImageReference
    ) async throws(KernelError) -> JSON {
        try await asking(reference.registry) { client async throws(TransferFailure) in
            let sources = Sources(reference, client.transport, { _ in })
            let tree = try await ManifestTree(from: document, sources, platform: .host)
            let descriptor = try tree.top.manifest().configuration
            let answer = try await client.ask(
                .GET, "\(reference.repository)/blobs/\(descriptor.digest)",
                for: .pull(reference.repository))
            let object = "blob \(descriptor.digest)"
            guard answer.status == 200 else { throw await client.refusal(answer, "read", object) }
            let bytes = try await answer.bytes(limit: Limits.configuration)
            guard digest(of: bytes, descriptor.digest.algorithm) == descriptor.digest else {
                throw TransferFailure(
                    KernelError(
                        "read", object, .badMessage, remedy: "What came instead is another blob."))
            }
            do { return try JSON.parse(bytes) } catch {
                throw TransferFailure(
                    KernelError("read", object, .badMessage, remedy: "\(error)."))
            }
        }
    }

    /// The tags of a repository, page after page.
    public func tags(_ reference: ImageReference) async throws(KernelError) -> [String] {
        try await asking(reference.registry) { client async throws(TransferFailure) in
            try await client.tags(of: reference.repository)
        }
    }

    /// Says who one is, and hears whether the registry believes it.
    public func logIn(
        to registry: String, as credential: Credential
    ) async throws(KernelError) {
        try await asking(registry) { client async throws(TransferFailure) in
            let address = try await client.address("")
            let answer = try await client.transport.send(Request(address: address))
            await answer.discard()
            guard answer.status == 401 else {
                if answer.status == 200 { return }
                throw await client.refusal(answer, "log in to", registry)
            }
            let challenges = answer.headers["WWW-Authenticate"].flatMap(Challenge.parse)
            var request = Request(address: address)
            request.set(
                "Authorization",
                try await client.authorizer.respond(
                    to: challenges, from: address, as: credential, for: .none))
            let second = try await client.transport.send(request)
            await second.discard()
            guard second.status == 200 else {
                throw TransferFailure(
                    KernelError(
                        "log in to", registry, .accessDenied,
                        remedy: "The name or password is wrong (status \(second.status))."))
            }
        }
    }

    private func asking<Result: Sendable>(
        _ registry: String,
        _ ask: @Sendable (RegistryClient) async throws(TransferFailure) -> Result
    ) async throws(KernelError) -> Result {
        let transport = Transport(settings)
        let outcome: Swift.Result<Result, KernelError>
        do throws(TransferFailure) {
            outcome = .success(try await ask(RegistryClient(registry, transport)))
        } catch {
            outcome = .failure(error.error)
        }
        await transport.close()
        return try outcome.get()
    }
}

extension RegistryClient {
    /// Follows the pages by their `Link` headers. See the distribution-spec, "Listing Tags".
    func tags(of repository: String) async throws(TransferFailure) -> [String] {
        var tags: [String] = []
        var seen: Set<String> = []
        var next: String? = "\(repository)/tags/list?n=1000"
        while let path = next {
            let answer = try await ask(.GET, path, for: .pull(repository))
            let object = "\(registry)/\(repository)"
            guard answer.status == 200 else { throw await refusal(answer, "list tags of", object) }
            guard seen.insert(path).inserted, tags.count < Limits.tags else {
                throw TransferFailure(
                    KernelError(
                        "list tags of", object, .looping,
                        remedy: "The registry sends page after page without an end."))
            }
            let link = answer.header("Link")
            let bytes = try await answer.bytes(limit: Limits.manifest)
            do {
                tags += try JSONReader(try JSON.parse(bytes))["tags"].optionalStrings() ?? []
            } catch {
                throw TransferFailure(
                    KernelError("list tags of", object, .badMessage, remedy: "\(error)."))
            }
            next = link.flatMap(nextPage)
        }
        return tags
    }

    /// `</v2/NAME/tags/list?…>; rel="next"`, below `/v2/` of the same registry.
    private func nextPage(_ link: String) -> String? {
        guard link.contains("rel=\"next\"") || link.contains("rel=next"), link.hasPrefix("<"),
            let end = link.firstIndex(of: ">")
        else { return nil }
        var target = String(link[link.index(after: link.startIndex)..<end])
        if let absolute = try? WebAddress(target) { target = absolute.target }
        return target.hasPrefix("/v2/") ? String(target.dropFirst(4)) : nil
    }
}

/// The digest of bytes in memory.
func digest(of bytes: [UInt8], _ algorithm: Digest.Algorithm) -> Digest {
    var hash = ContentHasher(algorithm)
    bytes.withUnsafeBytes { hash.update($0) }
    return hash.digest
}
