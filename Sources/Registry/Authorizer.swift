import Kernel
import NIOHTTP1
import OCISpec

/// What one wants to do, in the words of the token protocol. See scope.md.
public struct Scope: Hashable, Sendable {
    /// `repository:NAME:ACTIONS`, one for each repository.
    let parts: [String]

    /// To read a repository.
    public static func pull(_ repository: String) -> Scope {
        Scope(parts: ["repository:\(repository):pull"])
    }

    /// To write a repository, and to take blobs from another one.
    public static func push(_ repository: String, from other: String? = nil) -> Scope {
        let first = "repository:\(repository):pull,push"
        return Scope(parts: [first] + (other.map { ["repository:\($0):pull"] } ?? []))
    }

    /// To be let in at all.
    public static let none = Scope(parts: [])
}

/// Says to one registry who we are, in the way that it asks for.
///
///     client                       registry            token endpoint
///     GET /v2/…/manifests/latest ─────▶
///     ◀─── 401 WWW-Authenticate: Bearer realm, service
///     GET realm?service=…&scope=…  (Basic, if logged in) ────▶
///     ◀──────────────────────────────────────────── {"token": …}
///     GET /v2/…  Authorization: Bearer … ─▶
///     ◀─── 200
///
/// See token.md and oauth.md of the distribution project.
actor Authorizer {
    private let registry: String
    private let transport: Transport
    private var headers: [Scope: String] = [:]

    init(_ registry: String, _ transport: Transport) {
        self.registry = registry
        self.transport = transport
    }

    /// What was accepted, or was handed out, for this scope.
    func header(for scope: Scope) -> String? { headers[scope] }

    /// Answers a 401 from `address`.
    ///
    /// - Parameter rejected: the header that the registry did not take, if there was one.
    func answer(
        _ challenges: [Challenge], from address: WebAddress, for scope: Scope, rejected: String?
    ) async throws(TransferFailure) -> String {
        // Another layer may have got a new token in the meantime.
        if let header = headers[scope], header != rejected { return header }
        let credential: Credential?
        do {
            let repository = scope.parts.first?.split(separator: ":").dropFirst().first
            credential = try transport.settings.credentials.credential(
                for: registry, repository: repository.map(String.init) ?? "")
        } catch { throw TransferFailure(error) }
        let header = try await respond(to: challenges, from: address, as: credential, for: scope)
        // The same password again would be refused again.
        guard header != rejected else { throw denied("It does not take the password.") }
        headers[scope] = header
        return header
    }

    /// The header for `credential`. Tokens are asked for; a password goes as it is.
    func respond(
        to challenges: [Challenge], from address: WebAddress, as credential: Credential?,
        for scope: Scope
    ) async throws(TransferFailure) -> String {
        if case .registryToken(let token)? = credential { return "Bearer " + token }
        if let bearer = challenges.first(where: { $0.scheme == "bearer" }) {
            return "Bearer " + (try await token(bearer, from: address, as: credential, for: scope))
        }
        guard challenges.contains(where: { $0.scheme == "basic" }) else {
            throw TransferFailure(
                KernelError(
                    "log in to", registry, .protocolError,
                    remedy: "It wants to know who you are, and says in no known way how."))
        }
        guard case .password(let user, let password)? = credential else {
            throw denied("Log in first: hull login \(registry).")
        }
        return basic(user, password)
    }

    private func token(
        _ challenge: Challenge, from address: WebAddress, as credential: Credential?,
        for scope: Scope
    ) async throws(TransferFailure) -> String {
        let realm = try realm(of: challenge, from: address)
        var fields: [(String, String)] = []
        if let service = challenge.parameters["service"] { fields.append(("service", service)) }
        // Ours, not the registry's: it shall not get a token for more than was wanted.
        fields += scope.parts.map { ("scope", $0) }
        var request = Request(address: realm)
        if case .identityToken(let refresh)? = credential {
            fields += [
                ("grant_type", "refresh_token"), ("client_id", "hull"), ("refresh_token", refresh),
            ]
            request.method = .POST
            request.set("Content-Type", "application/x-www-form-urlencoded")
            // One field for all scopes, where the other way has one for each. See oauth.md.
            request.body = .bytes(Array(form(joiningScopes(fields)).utf8))
        } else {
            for (name, value) in fields { request.address = request.address.adding(name, value) }
            if case .password(let user, let password)? = credential {
                request.address = request.address.adding("account", user)
                request.set("Authorization", basic(user, password))
            }
        }
        return try await fetch(request, isKnown: credential != nil)
    }

    nonisolated private func fetch(
        _ request: Request, isKnown: Bool
    ) async throws(TransferFailure) -> String {
        let request = request
        let answer = try await retrying(transport.settings) { () async throws(TransferFailure) in
            let answer = try await self.transport.send(request)
            if let failure = transientFailure(answer) { throw failure }
            return answer
        }
        guard answer.status == 200 else {
            let words = await answer.complaint().map { " It says: \($0)." } ?? ""
            if answer.status == 401 || answer.status == 403 {
                throw denied(
                    (isKnown ? "The name or password is wrong." : "Log in: hull login \(registry).")
                        + words)
            }
            throw TransferFailure(
                KernelError(
                    "get a token from", request.address.shown, .protocolError,
                    remedy: "It answers with status \(answer.status).\(words)"))
        }
        let bytes = try await answer.bytes(limit: Limits.answer)
        let json = try? JSON.parse(bytes)
        for name in ["token", "access_token"] {
            guard case .string(let token)? = json?[name], !token.isEmpty else { continue }
            guard token.utf8.allSatisfy({ (33...126).contains($0) }) else { break }
            return token
        }
        throw TransferFailure(
            KernelError(
                "get a token from", request.address.shown, .badMessage,
                remedy: "What it sends holds no token."))
    }

    /// Where to ask. It may be another host, as it is for Docker Hub; a password goes there only
    /// by TLS, or by the plain HTTP that was allowed for the registry already.
    private func realm(
        of challenge: Challenge, from address: WebAddress
    ) throws(TransferFailure) -> WebAddress {
        func refused(_ reason: String) -> TransferFailure {
            TransferFailure(
                KernelError("log in to", registry, .protocolError, remedy: reason))
        }
        guard let text = challenge.parameters["realm"] else {
            throw refused("It does not say where to get a token.")
        }
        let realm: WebAddress
        do { realm = try WebAddress(text) } catch {
            throw refused("It sends us to no proper address for a token: \(error.problem).")
        }
        let isAllowed =
            realm.scheme == .https
            || address.scheme == .http && (realm.isLoopback || transport.settings.isInsecure)
        guard isAllowed else {
            throw refused("It sends us to \(realm.origin) for a token, which is not encrypted.")
        }
        return realm
    }

    nonisolated private func denied(_ remedy: String) -> TransferFailure {
        TransferFailure(KernelError("log in to", registry, .accessDenied, remedy: remedy))
    }
}

private func basic(_ user: String, _ password: String) -> String {
    "Basic " + Base64.encode(Array("\(user):\(password)".utf8))
}

private func joiningScopes(_ fields: [(String, String)]) -> [(String, String)] {
    let scopes = fields.filter { $0.0 == "scope" }.map(\.1)
    let others = fields.filter { $0.0 != "scope" }
    return scopes.isEmpty ? others : others + [("scope", scopes.joined(separator: " "))]
}

private func form(_ fields: [(String, String)]) -> String {
    fields.map { $0.0 + "=" + percentEncoded($0.1) }.joined(separator: "&")
}
