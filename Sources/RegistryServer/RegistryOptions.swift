import Kernel
import NIOCore

/// How a registry is run.
public struct RegistryOptions: Sendable {
    /// Where it keeps everything.
    public var root = "/var/lib/hull/registry"
    /// Where it listens.
    public var host = "127.0.0.1"
    /// The port; 0 for any that is free.
    public var port = 5000
    /// Files in PEM; both or none.
    public var certificate: String?
    /// The certificate's key.
    public var key: String?
    /// A file that `htpasswd -B` wrote.
    public var passwordFile: String?
    /// Whether it gives out tokens for its passwords.
    public var givesTokens = false
    /// Another service's tokens: where clients get them.
    public var tokenRealm: String?
    /// How the issuer calls itself.
    public var tokenIssuer = "hull-registry"
    /// How the issuer calls this registry.
    public var tokenService = "hull-registry"
    /// The issuer's public keys, each a file in PEM.
    public var tokenKeys: [String] = []
    /// Whether whoever has no password may pull.
    public var allowsAnonymousPull = false
    /// Whether nothing may be changed.
    public var isReadOnly = false
    /// Whether tags, manifests and blobs may be deleted.
    public var allowsDeleting = true
    /// The largest blob, in bytes.
    public var maximumBlob = 64 << 30
    /// The largest manifest, in bytes.
    public var maximumManifest = 4 << 20
    /// How much the store may hold, in bytes.
    public var maximumStore = Int.max
    /// After how many seconds an upload is forgotten that nobody goes on with.
    public var uploadExpiry = 24 * 3600
    /// For how many seconds a client may keep a connection waiting.
    public var patienceSeconds = 60
    /// For how many seconds what is under way may go on after a signal to stop.
    public var stopSeconds = 30
    /// Whether it may be reached from elsewhere without a password, or with one in plain text.
    public var allowsInsecure = false
    /// An open descriptor for the access log; nil for none.
    public var accessLog: Int32? = 2

    /// A registry for this machine only.
    public init() {}

    var isSecure: Bool { certificate != nil }
    var patience: TimeAmount { .seconds(Int64(patienceSeconds)) }

    private var isLoopback: Bool {
        host == "localhost" || host == "::1" || host.hasPrefix("127.")
    }

    private var hasAuthentication: Bool { passwordFile != nil || tokenRealm != nil }

    /// Refuses what would be a mistake.
    func check() throws(KernelError) {
        if (certificate == nil) != (key == nil) {
            throw wrong("--tls-cert", "It goes together with --tls-key.")
        }
        if givesTokens && passwordFile == nil {
            throw wrong("--token", "It needs --htpasswd, to know who may have one.")
        }
        if (tokenRealm == nil) != tokenKeys.isEmpty {
            throw wrong("--token-realm", "It goes together with --token-key.")
        }
        if givesTokens && tokenRealm != nil {
            throw wrong("--token", "Tokens come from here or from --token-realm, not from both.")
        }
        if allowsAnonymousPull && !givesTokens {
            throw wrong("--anonymous-pull", "It needs --token: with Basic, nobody is anonymous.")
        }
        if isLoopback || allowsInsecure { return }
        if !hasAuthentication || !isSecure {
            throw KernelError(
                "listen", "\(host):\(port)", .accessDenied,
                remedy: "Others can reach that address: give --htpasswd and --tls-cert with "
                    + "--tls-key, or say --insecure.")
        }
    }

    private func wrong(_ option: String, _ remedy: String) -> KernelError {
        KernelError("option", option, .invalidArgument, remedy: remedy)
    }
}
