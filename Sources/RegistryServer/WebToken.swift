import Crypto
import CryptoExtras
import Glibc
import Kernel
import OCISpec

/// A signed statement of who may do what: a JSON web token. See RFC 7519, and distribution's
/// "Token Authentication Implementation".
struct WebToken {
    /// Who may do what with which repository.
    let access: Access

    /// Checks a token.
    /// - Throws: what is wrong with it. Nothing of it is believed before its signature.
    init(
        _ text: String, keys: [SigningKey], issuer: String, service: String, now: Int = time(nil)
    ) throws(SpecificationError) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let header = WebToken.json(parts[0]),
            let signature = Base64.decode(parts[2])
        else { throw SpecificationError("the token", "not three parts with dots between them") }
        let algorithm = try header["alg"].string()
        let signed = Array("\(parts[0]).\(parts[1])".utf8)
        // The key says which algorithm it is for; the token only may agree. A token that could
        // choose would choose "none", or take a public key for a password.
        guard
            keys.contains(where: { $0.algorithm == algorithm && $0.verifies(signature, of: signed) }
            )
        else { throw SpecificationError("the token", "not signed by a key of the issuer") }
        guard let claims = WebToken.json(parts[1]) else {
            throw SpecificationError("the token", "its claims are not JSON")
        }
        try WebToken.check(claims, issuer: issuer, service: service, now: now)
        let user = try claims["sub"].optionalString()
        access = Access(user == "" ? nil : user, try WebToken.grants(claims))
    }

    private static func json(_ part: Substring) -> JSONReader? {
        guard let bytes = Base64.decode(part), let json = try? JSON.parse(bytes, limit: 1 << 16)
        else { return nil }
        return JSONReader(json, "the token")
    }

    private static func check(
        _ claims: JSONReader, issuer: String, service: String, now: Int
    ) throws(SpecificationError) {
        guard try claims["iss"].string() == issuer else {
            throw claims["iss"].error("it is another issuer's")
        }
        // One, or several.
        let audience = try? [claims["aud"].string()]
        let audiences = if let audience { audience } else { try claims["aud"].strings() }
        guard audiences.contains(service) else {
            throw claims["aud"].error("it is for another service")
        }
        // Clocks differ; a minute is what distribution allows, too.
        guard try claims["exp"].integer() > now - 60 else {
            throw claims["exp"].error("it has expired")
        }
        if let start = try claims["nbf"].present?.integer(), start > now + 60 {
            throw claims["nbf"].error("it does not count yet")
        }
    }

    private static func grants(_ claims: JSONReader) throws(SpecificationError) -> [Access.Grant] {
        var grants: [Access.Grant] = []
        for entry in try claims["access"].present?.array() ?? [] {
            grants.append(
                Access.Grant(
                    type: try entry["type"].string(), name: try entry["name"].string(),
                    actions: try entry["actions"].strings()))
        }
        return grants
    }
}

/// A key that tokens are checked with.
enum SigningKey: Sendable {
    case p256(P256.Signing.PublicKey)
    case rsa(_RSA.Signing.PublicKey)

    /// Reads a public key in PEM.
    init(pem: String, named name: String) throws(KernelError) {
        if let key = try? P256.Signing.PublicKey(pemRepresentation: pem) {
            self = .p256(key)
        } else if let key = try? _RSA.Signing.PublicKey(pemRepresentation: pem) {
            self = .rsa(key)
        } else {
            throw KernelError(
                "read", name, .invalidArgument,
                remedy: "It has to be a public key in PEM: P-256, or RSA of 2048 bits and more.")
        }
    }

    /// What the token's header has to say.
    var algorithm: String {
        switch self {
        case .p256: "ES256"
        case .rsa: "RS256"
        }
    }

    func verifies(_ signature: [UInt8], of bytes: [UInt8]) -> Bool {
        switch self {
        case .p256(let key):
            guard let signature = try? P256.Signing.ECDSASignature(rawRepresentation: signature)
            else {
                return false
            }
            return key.isValidSignature(signature, for: bytes)
        case .rsa(let key):
            let signature = _RSA.Signing.RSASignature(rawRepresentation: signature)
            return key.isValidSignature(
                signature, for: SHA256.hash(data: bytes), padding: .insecurePKCS1v1_5)
        }
    }
}

/// Signs tokens, for a registry that is its own issuer. The key lives as long as the process.
struct TokenIssuer: Sendable {
    /// How long a token counts, in seconds.
    static let lifetime = 300
    let name: String
    let service: String
    private let key = P256.Signing.PrivateKey()

    init(name: String, service: String) {
        self.name = name
        self.service = service
    }

    var publicKey: SigningKey { .p256(key.publicKey) }

    /// A token for these grants.
    func token(
        for user: String, _ grants: [Access.Grant], now: Int = time(nil)
    ) throws -> String {
        let claims: JSON = [
            "iss": .string(name), "sub": .string(user), "aud": .string(service),
            "iat": .integer(now), "nbf": .integer(now), "exp": .integer(now + Self.lifetime),
            "jti": .string(randomName()), "access": .array(grants.map(\.json)),
        ]
        let header: JSON = ["alg": "ES256", "typ": "JWT"]
        let signed =
            Base64.encode(header.text().utf8) + "." + Base64.encode(claims.text().utf8)
        let signature = try key.signature(for: Array(signed.utf8))
        return signed + "." + Base64.encode(signature.rawRepresentation)
    }
}

extension Access.Grant {
    fileprivate var json: JSON {
        ["type": .string(type), "name": .string(name), "actions": .strings(actions)]
    }
}
