import OCISpec

/// What a request is about, read from its path.
///
/// A repository's name has any number of slashes in it, so a path is read from its end.
/// See distribution-spec, "Endpoints".
enum Route {
    /// `/v2/`: is this a registry, and may I come in?
    case base
    /// `/health`
    case health
    /// `/token`: Basic credentials for a Bearer token.
    case token
    /// `/v2/_catalog`
    case catalog
    /// `/v2/NAME/tags/list`
    case tags(RepositoryName)
    /// `/v2/NAME/manifests/TAG`, or with a digest
    case manifest(RepositoryName, ManifestReference)
    /// `/v2/NAME/blobs/DIGEST`
    case blob(RepositoryName, Digest)
    /// `/v2/NAME/blobs/uploads/`
    case uploads(RepositoryName)
    /// `/v2/NAME/blobs/uploads/ID`
    case upload(RepositoryName, UploadID)
    /// `/v2/NAME/referrers/DIGEST`
    case referrers(RepositoryName, Digest)

    /// Reads `path`, without the query.
    init(path: String) throws(RegistryError) {
        guard let path = decodePercent(path) else { throw Route.unknown }
        switch path {
        case "/health": self = .health
        case "/token": self = .token
        case "/v2", "/v2/": self = .base
        case "/v2/_catalog": self = .catalog
        default:
            guard path.hasPrefix("/v2/") else { throw Route.unknown }
            self = try Route.inRepository(path.dropFirst("/v2/".count))
        }
    }

    private static let unknown = RegistryError(
        .notFound, .unsupported, "There is nothing here; the API begins at /v2/.")

    private static func inRepository(_ path: Substring) throws(RegistryError) -> Route {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 3 else { throw unknown }
        let last = parts[parts.count - 1]
        if parts.count >= 4 && parts[parts.count - 3] == "blobs"
            && parts[parts.count - 2] == "uploads"
        {
            let name = try repository(parts.dropLast(3))
            if last.isEmpty { return .uploads(name) }
            guard let id = UploadID(last) else { throw .uploadUnknown }
            return .upload(name, id)
        }
        let name = try repository(parts.dropLast(2))
        switch parts[parts.count - 2] {
        case "tags" where last == "list": return .tags(name)
        case "manifests": return .manifest(name, try ManifestReference(last))
        case "blobs" where last == "uploads": return .uploads(name)
        case "blobs": return .blob(name, try digest(last))
        case "referrers": return .referrers(name, try digest(last))
        default: throw unknown
        }
    }

    private static func repository(
        _ parts: ArraySlice<Substring>
    ) throws(RegistryError) -> RepositoryName {
        guard let name = RepositoryName(parts.joined(separator: "/")) else {
            throw RegistryError(
                .badRequest, .nameInvalid,
                "A repository's name is lower-case letters and digits, with . _ - and / between "
                    + "them, and at most \(RepositoryName.limit) bytes.")
        }
        return name
    }

    private static func digest(_ text: Substring) throws(RegistryError) -> Digest {
        do { return try Digest(String(text)) } catch {
            throw RegistryError(.badRequest, .digestInvalid, "No digest: \(error.problem).")
        }
    }
}

/// How a request names a manifest.
enum ManifestReference: CustomStringConvertible {
    case tag(Tag)
    case digest(Digest)

    init(_ text: Substring) throws(RegistryError) {
        if let tag = Tag(text) {
            self = .tag(tag)
            return
        }
        do { self = .digest(try Digest(String(text))) } catch {
            throw RegistryError(
                .badRequest, text.contains(":") ? .digestInvalid : .manifestInvalid,
                "A manifest is named by a tag or by a digest: \(error.problem).")
        }
    }

    var description: String {
        switch self {
        case .tag(let tag): tag.description
        case .digest(let digest): digest.description
        }
    }
}
