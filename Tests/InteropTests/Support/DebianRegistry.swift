import Foundation
import Testing

/// Debian's docker-registry on loopback, with passwords and TLS where a test wants them.
final class DebianRegistry: Sendable {
    /// Who may come in.
    struct Account: Sendable {
        let name = randomWord()
        let password = randomWord()
    }

    /// `127.0.0.1:PORT`
    let address: String
    let account: Account?
    let authority: CertificateAuthority?
    private let place: Place
    private let daemon: Daemon

    /// - Parameters:
    ///   - account: asked for by HTTP Basic, where there is one.
    ///   - authority: signs the server's certificate; without one it speaks plain HTTP.
    init(account: Account? = nil, authority: CertificateAuthority? = nil) throws {
        let place = try Place("registry")
        let port = try freePort()
        address = "127.0.0.1:\(port)"
        (self.place, self.account, self.authority) = (place, account, authority)
        let configuration = try DebianRegistry.configuration(
            address, account, try authority?.makeCertificate(for: "127.0.0.1", in: place), place)
        let file = try place.makeFile("config.yml", configuration)
        daemon = try Daemon(["docker-registry", "serve", file], log: place / "log")
        try daemon.wait { isListening(on: port) }
    }

    private static func configuration(
        _ address: String, _ account: Account?, _ certificate: CertificateAuthority.Certificate?,
        _ place: Place
    ) throws -> String {
        var lines = [
            "version: 0.1", "log: {level: warn}",
            "storage: {filesystem: {rootdirectory: \(place / "data")}, delete: {enabled: true}}",
            "http:", "  addr: \(address)", "  secret: \(randomWord())",
        ]
        if let certificate {
            lines += [
                "  tls: {certificate: \(certificate.file), key: \(certificate.keyFile)}"
            ]
        }
        if let account {
            let hash = try run(["htpasswd", "-nbB", "-C", "4", account.name, account.password])
            let path = try place.makeFile("htpasswd", hash + "\n")
            lines += ["auth: {htpasswd: {realm: tests, path: \(path)}}"]
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

/// A port of loopback that nobody listens on: the kernel chooses one.
func freePort() throws -> UInt16 {
    let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    var address = loopback(port: 0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
            bind(socket, generic, length) < 0 ? -1 : getsockname(socket, generic, &length)
        }
    }
    try #require(result == 0)
    return UInt16(bigEndian: address.sin_port)
}

/// Whether somebody takes connections there.
func isListening(on port: UInt16) -> Bool {
    let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    var address = loopback(port: port)
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
            connect(socket, generic, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
}

private func loopback(port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
}
