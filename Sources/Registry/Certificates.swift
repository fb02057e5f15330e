import Glibc
import Kernel
import NIOSSL

/// Whom to trust at which registry, and what to show it, in the directories of Docker and podman:
///
///     /etc/docker/certs.d/HOST:PORT/*.crt          CAs, beside the machine's own
///     /etc/docker/certs.d/HOST:PORT/*.cert, .key   a client certificate and its key
///     /etc/containers/certs.d/HOST:PORT/           the same, as podman has it
///     ~/.docker/certs.d, ~/.config/containers/certs.d
///
/// See containers-certs.d(5).
enum Certificates {
    /// TLS 1.2 at least, the certificate checked, its name checked.
    static func configuration(
        for address: WebAddress, _ settings: TransferSettings
    ) throws(KernelError) -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if settings.isInsecure { tls.certificateVerification = .none }
        guard let directory = directory(for: address, settings) else { return tls }
        let names = try namesInDirectory(directory)
        for name in names where name.hasSuffix(".crt") {
            let path = directory + "/" + name
            let certificates = try reading(path) { try NIOSSLCertificate.fromPEMFile(path) }
            tls.additionalTrustRoots.append(.certificates(certificates))
        }
        // A registry gets one client certificate; the first that has its key.
        if let name = names.first(where: { $0.hasSuffix(".cert") }) {
            let stem = directory + "/" + name.dropLast(5)
            let chain = try reading(stem + ".cert") {
                try NIOSSLCertificate.fromPEMFile(stem + ".cert")
            }
            let key = try reading(stem + ".key") {
                try NIOSSLPrivateKey(file: stem + ".key", format: .pem)
            }
            tls.certificateChain = chain.map { .certificate($0) }
            tls.privateKey = .privateKey(key)
        }
        return tls
    }

    /// Whether somebody has said that this registry speaks TLS.
    static func areProvided(for address: WebAddress, _ settings: TransferSettings) -> Bool {
        directory(for: address, settings) != nil
    }

    private static func directory(
        for address: WebAddress, _ settings: TransferSettings
    ) -> String? {
        if let chosen = settings.certificateDirectory { return chosen }
        let home = variable("HOME") ?? "/"
        let places = [
            home + "/.docker/certs.d", home + "/.config/containers/certs.d", "/etc/docker/certs.d",
            "/etc/containers/certs.d",
        ]
        let candidates = places.flatMap { place in
            ["\(place)/\(address.host):\(address.port)"]
                + (address.port == 443 ? ["\(place)/\(address.host)"] : [])
        }
        return candidates.first { fileType($0) == .directory }
    }

    private static func reading<Content>(
        _ path: String, _ read: () throws -> Content
    ) throws(KernelError) -> Content {
        // BoringSSL does not say which file, nor that it is not there.
        _ = try readFile(path, limit: 1 << 20)
        do { return try read() } catch {
            throw KernelError(
                "read", path, .badMessage, remedy: "It is not a certificate or key in PEM.")
        }
    }
}
