import Crypto
import CryptoExtras
import Foundation
import OCISpec
import Testing

@testable import RegistryServer

/// Tokens that are forged, stolen, old, or meant for somebody else.
@Suite struct TokenTests {
    private let issuer = TokenIssuer(name: "issuer", service: "service")
    private let grants = [Access.Grant(type: "repository", name: "a/b", actions: ["pull"])]

    private func read(_ token: String, keys: [SigningKey]? = nil, now: Int = time(nil)) throws
        -> Access
    {
        try WebToken(
            token, keys: keys ?? [issuer.publicKey], issuer: "issuer", service: "service", now: now
        ).access
    }

    @Test func `a token allows what it says and nothing more`() throws {
        let access = try read(try issuer.token(for: "alice", grants))
        let own = try #require(RepositoryName("a/b"))
        let other = try #require(RepositoryName("a/c"))
        #expect(access.user == "alice")
        #expect(access.allows(.pull, in: own))
        #expect(!access.allows(.push, in: own))
        #expect(!access.allows(.pull, in: other))
        #expect(!access.allowsCatalog)
    }

    @Test func `a token ends`() throws {
        let token = try issuer.token(for: "alice", grants)
        _ = try read(token, now: time(nil) + TokenIssuer.lifetime)
        #expect(throws: SpecificationError.self) {
            try read(token, now: time(nil) + TokenIssuer.lifetime + 61)
        }
        #expect(throws: SpecificationError.self) { try read(token, now: time(nil) - 61) }
    }

    @Test func `a token that was changed is none`() throws {
        let token = try issuer.token(for: "alice", grants)
        let parts = token.split(separator: ".").map(String.init)
        let claims = String(decoding: try #require(Base64.decode(parts[1])), as: UTF8.self)
        let more = claims.replacingOccurrences(of: "pull", with: "push")
        try #require(more != claims)
        #expect(throws: SpecificationError.self) {
            try read("\(parts[0]).\(Base64.encode(more.utf8)).\(parts[2])")
        }
        #expect(throws: SpecificationError.self) { try read("\(parts[0]).\(parts[1]).") }
        #expect(throws: SpecificationError.self) { try read("\(parts[0]).\(parts[1])") }
    }

    @Test(arguments: ["none", "HS256", "RS256", "ES384", "None"])
    func `a token cannot choose how it is checked`(algorithm: String) throws {
        let claims = try issuer.token(for: "alice", grants).split(separator: ".")[1]
        let signed = Base64.encode(#"{"alg":"\#(algorithm)"}"#.utf8) + "." + claims
        guard case .p256(let key) = issuer.publicKey else { return }
        // The public key is no secret: whoever takes it for one can be fooled.
        let code = HMAC<SHA256>.authenticationCode(
            for: Data(signed.utf8), using: SymmetricKey(data: Data(key.pemRepresentation.utf8)))
        for signature in [[], Array(code)] {
            #expect(throws: SpecificationError.self) {
                try read(signed + "." + Base64.encode(signature))
            }
        }
    }

    @Test func `another issuer's, and another service's, are no use`() throws {
        let stranger = TokenIssuer(name: "issuer", service: "service")
        let renamed = TokenIssuer(name: "somebody", service: "service")
        let elsewhere = TokenIssuer(name: "issuer", service: "other")
        for (token, key) in [
            (try stranger.token(for: "x", grants), issuer.publicKey),
            (try renamed.token(for: "x", grants), renamed.publicKey),
            (try elsewhere.token(for: "x", grants), elsewhere.publicKey),
        ] {
            #expect(throws: SpecificationError.self) { try read(token, keys: [key]) }
        }
    }

    @Test func `an RSA key of an issuer's is taken, from PEM`() throws {
        let key = try _RSA.Signing.PrivateKey(keySize: .bits2048)
        let claims =
            #"{"iss":"issuer","sub":"x","aud":["other","service"],"exp":\#(time(nil) + 60),"#
            + #""access":[{"type":"repository","name":"a/b","actions":["*"]}]}"#
        let signed = Base64.encode(#"{"alg":"RS256"}"#.utf8) + "." + Base64.encode(claims.utf8)
        let signature = try key.signature(
            for: SHA256.hash(data: Data(signed.utf8)), padding: .insecurePKCS1v1_5)
        let token = signed + "." + Base64.encode(signature.rawRepresentation)
        let own = try SigningKey(pem: key.publicKey.pemRepresentation, named: "a key")
        let access = try read(token, keys: [issuer.publicKey, own])
        #expect(access.allows(.delete, in: try #require(RepositoryName("a/b"))))
    }

    @Test func `noise is no token`() {
        for count in 0..<500 {
            let token = String(decoding: randomBytes(count), as: UTF8.self)
            #expect(throws: SpecificationError.self) { try read(token) }
        }
    }
}
