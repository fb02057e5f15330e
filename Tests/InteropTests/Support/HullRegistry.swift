import Foundation
import Testing

/// `hull-registry` on loopback, with passwords and TLS where a test wants them.
final class HullRegistry: Sendable {
    /// `127.0.0.1:PORT`
    let address: String
    let account: DebianRegistry.Account?
    /// Where it keeps everything.
    let root: String
    private let place: Place
    private let daemon: Daemon

    /// - Parameters:
    ///   - account: asked for by HTTP Basic, or with `options` for a token.
    ///   - authority: signs the server's certificate; without one it speaks plain HTTP.
    init(
        account: DebianRegistry.Account? = nil, authority: CertificateAuthority? = nil,
        options: [String] = []
    ) throws {
        let place = try Place("hull-registry")
        root = place / "store"
        var words = ["\(Hull.products)/hull-registry", "--root", root, "--listen", "127.0.0.1:0"]
        if let account {
            let hash = try run(["htpasswd", "-nbB", "-C", "4", account.name, account.password])
            words += ["--htpasswd", try place.makeFile("htpasswd", hash + "\n")]
        }
        if let certificate = try authority?.makeCertificate(for: "127.0.0.1", in: place) {
            words += ["--tls-cert", certificate.file, "--tls-key", certificate.keyFile]
        }
        let log = place / "log"
        let daemon = try Daemon(words + options, log: log)
        func listening() -> Substring? {
            let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
            return text.split(separator: "\n").first { $0.hasPrefix("Listening on ") }
        }
        try daemon.wait { listening() != nil }
        let line = try #require(listening())
        address = String(line.split(separator: "/").last ?? "")
        (self.place, self.account, self.daemon) = (place, account, daemon)
    }
}
