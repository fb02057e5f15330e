import Glibc
import Kernel
import RegistryServer
import Terminal

@main enum Main {
    /// What `hull-registry` is and takes.
    private static let command = Command(
        "hull-registry", "[gc]",
        """
        A registry: what `hull push`, podman, docker and skopeo push images to and pull them from.
        With `gc` it collects garbage in its store instead, while no server has it open.
        """,
        options: [
            Option(
                "root", nil, .required("DIR"), "Keep everything there [/var/lib/hull/registry]."),
            Option("listen", "l", .required("HOST:PORT"), "Listen there [127.0.0.1:5000]."),
            Option("tls-cert", nil, .required("FILE"), "The server's certificate chain, in PEM."),
            Option("tls-key", nil, .required("FILE"), "Its private key, in PEM."),
            Option("htpasswd", nil, .required("FILE"), "Who may come in, from `htpasswd -B`."),
            Option("token", nil, .none, "Give out Bearer tokens for those passwords, at /token."),
            Option("anonymous-pull", nil, .none, "With --token: whoever has no password may pull."),
            Option("token-realm", nil, .required("URL"), "Take another service's tokens."),
            Option("token-key", nil, .required("FILE"), "That service's public key, in PEM."),
            Option("token-issuer", nil, .required("NAME"), "How tokens call their issuer."),
            Option("token-service", nil, .required("NAME"), "How tokens call this registry."),
            Option("read-only", nil, .none, "Take no pushes and delete nothing."),
            Option("no-delete", nil, .none, "Delete nothing."),
            Option("max-blob", nil, .required("SIZE"), "The largest blob [64g]."),
            Option("max-manifest", nil, .required("SIZE"), "The largest manifest [4m]."),
            Option("max-store", nil, .required("SIZE"), "How much the store may hold."),
            Option("upload-expiry", nil, .required("SECONDS"), "Forget idle uploads [86400]."),
            Option("patience", nil, .required("SECONDS"), "Close stalled connections [60]."),
            Option("stop-timeout", nil, .required("SECONDS"), "Then stop all the same [30]."),
            Option("no-access-log", nil, .none, "Write no line for each request."),
            Option("insecure", nil, .none, "Let others reach it without password and TLS."),
            Option("untagged", nil, .none, "gc: take manifests too that no tag leads to."),
            Option("dry-run", nil, .none, "gc: only tell what would be taken."),
        ],
        notes: """
            Try it:   hull-registry --root /tmp/registry &
                      skopeo copy --dest-tls-verify=false IMAGE docker://localhost:5000/app
            GET /health answers whoever asks. SIGTERM lets requests finish.
            """)

    static func main() {
        Program.run { arguments throws(KernelError) in
            let arguments = try command.parse(arguments)
            if arguments.has("help") { return command.showHelp() }
            switch arguments.operands.joined(separator: " ") {
            case "": try serve(try RegistryOptions(arguments))
            case "gc": try collect(arguments)
            case let other:
                throw KernelError(
                    "command", other, .invalidArgument, remedy: "See `hull-registry --help`.")
            }
            return 0
        }
    }

    private static func serve(_ options: RegistryOptions) throws(KernelError) {
        try RegistryServer(options).run { address in
            let scheme = options.certificate == nil ? "http" : "https"
            Program.write("Listening on \(scheme)://\(address)\n")
        }
    }

    private static func collect(_ arguments: Arguments) throws(KernelError) {
        let result = try collectGarbage(
            root: try RegistryOptions(arguments).root, untagged: arguments.has("untagged"),
            rehearsal: arguments.has("dry-run"))
        let verb = arguments.has("dry-run") ? "Would remove" : "Removed"
        Program.write("\(verb) \(result.blobs) blobs, \(result.bytes) bytes.\n")
    }
}

extension RegistryOptions {
    fileprivate init(_ arguments: Arguments) throws(KernelError) {
        self.init()
        if let root = getenv("HULL_ROOT") { self.root = String(cString: root) + "/registry" }
        root = arguments.value("root") ?? root
        if let address = arguments.value("listen") { try listen(address) }
        certificate = arguments.value("tls-cert")
        key = arguments.value("tls-key")
        passwordFile = arguments.value("htpasswd")
        givesTokens = arguments.has("token")
        allowsAnonymousPull = arguments.has("anonymous-pull")
        tokenRealm = arguments.value("token-realm")
        tokenKeys = arguments.values("token-key")
        tokenIssuer = arguments.value("token-issuer") ?? tokenIssuer
        tokenService = arguments.value("token-service") ?? tokenService
        isReadOnly = arguments.has("read-only")
        allowsDeleting = !arguments.has("no-delete")
        allowsInsecure = arguments.has("insecure")
        if arguments.has("no-access-log") { accessLog = nil }
        maximumBlob = try arguments.size("max-blob") ?? maximumBlob
        maximumManifest = try arguments.size("max-manifest") ?? maximumManifest
        maximumStore = try arguments.size("max-store") ?? maximumStore
        uploadExpiry = try arguments.seconds("upload-expiry") ?? uploadExpiry
        patienceSeconds = try arguments.seconds("patience") ?? patienceSeconds
        stopSeconds = try arguments.seconds("stop-timeout") ?? stopSeconds
    }

    private mutating func listen(_ address: String) throws(KernelError) {
        guard let colon = address.lastIndex(of: ":"),
            let port = UInt16(address[address.index(after: colon)...])
        else {
            throw KernelError(
                "option", "--listen \(address)", .invalidArgument,
                remedy: "Its form is HOST:PORT, such as 127.0.0.1:5000 or [::1]:5000.")
        }
        let host = address[..<colon].filter { $0 != "[" && $0 != "]" }
        self.host = host.isEmpty ? "0.0.0.0" : String(host)
        self.port = Int(port)
    }
}

extension Arguments {
    fileprivate func size(_ name: String) throws(KernelError) -> Int? {
        guard let text = value(name) else { return nil }
        guard let size = ByteSize.parse(text) else {
            throw KernelError(
                "option", "--\(name) \(text)", .invalidArgument,
                remedy: "A size is a number with b, k, m or g after it.")
        }
        return size
    }

    fileprivate func seconds(_ name: String) throws(KernelError) -> Int? {
        guard let text = value(name) else { return nil }
        guard let seconds = Int(text), (1...1_000_000_000).contains(seconds) else {
            throw KernelError(
                "option", "--\(name) \(text)", .invalidArgument, remedy: "It is whole seconds.")
        }
        return seconds
    }
}
