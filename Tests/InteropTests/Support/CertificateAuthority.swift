/// A certificate authority that nobody else knows: what a private registry has.
final class CertificateAuthority: Sendable {
    /// A certificate, and the key to it.
    struct Certificate: Sendable {
        let file: String
        let keyFile: String
    }

    private let place: Place
    /// What a client has to trust.
    var file: String { place / "ca.crt" }

    init() throws {
        place = try Place("authority")
        try shell(
            """
            cd '\(place.path)'
            openssl ecparam -name prime256v1 -genkey -noout -out ca.key
            openssl req -x509 -new -key ca.key -days 2 -subj '/CN=\(randomWord())' -out ca.crt
            """)
    }

    /// Signs a certificate for a host's name or address.
    func makeCertificate(for host: String, in other: Place) throws -> Certificate {
        let isAddress = host.allSatisfy { $0.isNumber || $0 == "." || $0 == ":" }
        let name = (isAddress ? "IP:" : "DNS:") + host
        return try sign("server", "/CN=\(host)", "subjectAltName = \(name)", in: other)
    }

    /// Signs one by which a client says who it is.
    func makeClientCertificate(_ name: String, in other: Place) throws -> Certificate {
        try sign("client", "/CN=\(name)", "extendedKeyUsage = clientAuth", in: other)
    }

    private func sign(
        _ name: String, _ subject: String, _ extensions: String, in other: Place
    ) throws -> Certificate {
        let made = Certificate(file: other / "\(name).crt", keyFile: other / "\(name).key")
        try shell(
            """
            openssl ecparam -name prime256v1 -genkey -noout -out '\(made.keyFile)'
            openssl req -new -key '\(made.keyFile)' -subj '\(subject)' |
                openssl x509 -req -CA '\(file)' -CAkey '\(place / "ca.key")' -set_serial 0x$(openssl rand -hex 8) \
                    -days 2 -extfile <(echo '\(extensions)') -out '\(made.file)'
            """)
        return made
    }
}
