import HTTPTypes
import HummingbirdCore
import Kernel
import NIOPosix
import OCISpec

/// Finds out who a client is, and tells one that may not come in how to ask.
///
/// `WWW-Authenticate` names the way: Basic, where the password comes with every request; or
/// Bearer, where a token comes, which the client got for its password from the realm.
struct Authentication: Sendable {
    /// Who has a password.
    var passwords: PasswordFile?
    /// Where tokens come from; nil where there are none.
    var tokens: TokenService?
    /// Whether whoever says nothing may pull.
    var allowsAnonymousPull = false

    /// Tokens that are believed.
    struct TokenService: Sendable {
        /// The URL where clients get them; nil: this registry's own `/token`.
        var realm: String?
        let service: String
        let issuer: String
        let keys: [SigningKey]
        /// Where this registry signs them itself.
        var own: TokenIssuer?
    }

    var isOn: Bool { passwords != nil || tokens != nil }

    /// What the client may do, where that is enough.
    /// - Throws: 401 with the challenge where it has to say who it is; 403 where that does not help.
    func access(_ request: Request, for need: Need, isSecure: Bool) async throws -> Access {
        guard isOn else { return Access(everythingFor: nil) }
        guard let access = try await access(request) else {
            throw challenge(request, need, isSecure, problem: nil)
        }
        if need.isMet(by: access) { return access }
        throw challenge(request, need, isSecure, problem: "insufficient_scope")
    }

    private func access(_ request: Request) async throws -> Access? {
        guard let header = request.headers[.authorization] else { return nil }
        let halves = header.split(separator: " ", maxSplits: 1)
        guard halves.count == 2 else { return nil }
        switch (halves[0].lowercased(), tokens) {
        case ("basic", _):
            return try await user(halves[1]).map { Access(everythingFor: $0) }
        case ("bearer", let tokens?):
            let token = try? WebToken(
                String(halves[1]), keys: tokens.keys, issuer: tokens.issuer,
                service: tokens.service)
            return token?.access
        default: return nil
        }
    }

    /// The user whose Basic credentials these are.
    private func user(_ credentials: Substring) async throws -> String? {
        guard let passwords, let bytes = Base64.decode(credentials),
            let text = String(validating: bytes, as: UTF8.self)
        else { return nil }
        let halves = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        // A NUL would end the password for the C library.
        guard halves.count == 2, !bytes.contains(0), bytes.count < 512 else { return nil }
        let (name, password) = (String(halves[0]), String(halves[1]))
        // It takes milliseconds, which other requests must not wait for.
        return try await offload { passwords.accepts(name, password) } ? name : nil
    }

    private func challenge(
        _ request: Request, _ need: Need, _ isSecure: Bool, problem: String?
    ) -> RegistryError {
        var error = RegistryError(.unauthorized, .unauthorized, "Who are you? Log in first.")
        guard let tokens else {
            error.headers[.wwwAuthenticate] = #"Basic realm="hull-registry", charset="UTF-8""#
            return error
        }
        let own = "\(isSecure ? "https" : "http")://\(request.head.authority ?? "localhost")/token"
        var text = #"Bearer realm="\#(tokens.realm ?? own)",service="\#(tokens.service)""#
        if let scope = need.scope { text += #",scope="\#(scope)""# }
        if let problem { text += #",error="\#(problem)""# }
        error.headers[.wwwAuthenticate] = text
        return error
    }

    /// `GET /token`: a token for a password, or for nothing where pulling is free.
    ///
    /// See distribution, "Token Authentication Specification".
    func answerTokenRequest(_ request: Request, _ query: Query) async throws -> Answer {
        guard let issuer = tokens?.own else {
            throw RegistryError(.notFound, .unsupported, "This registry gives out no tokens.")
        }
        var user: String?
        if let header = request.headers[.authorization], header.lowercased().hasPrefix("basic ") {
            user = try await self.user(header.dropFirst(6))
        }
        if user == nil && (request.headers[.authorization] != nil || !allowsAnonymousPull) {
            var error = RegistryError(.unauthorized, .unauthorized, "Wrong name or password.")
            error.headers[.wwwAuthenticate] = #"Basic realm="hull-registry""#
            throw error
        }
        let scopes = query.all("scope").flatMap { $0.split(separator: " ") }
        let grants = scopes.prefix(64).compactMap { grant(String($0), isKnown: user != nil) }
        let token = try issuer.token(for: user ?? "", grants)
        return Answer(
            .ok,
            json: [
                "token": .string(token), "access_token": .string(token),
                "expires_in": .integer(TokenIssuer.lifetime),
            ])
    }

    /// What is given of `repository:NAME:pull,push`: all to a user, reading to anybody.
    private func grant(_ scope: String, isKnown: Bool) -> Access.Grant? {
        let parts = scope.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        let wanted = parts[2].split(separator: ",").map(String.init)
        let actions = isKnown ? wanted : wanted.filter { $0 == Access.Action.pull.rawValue }
        return Access.Grant(type: String(parts[0]), name: String(parts[1]), actions: actions)
    }
}

/// Runs what waits for the disk or takes long on a thread that is there for that.
func offload<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
) async throws -> Result {
    try await NIOThreadPool.singleton.runIfActive(body)
}
