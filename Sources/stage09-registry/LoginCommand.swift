import Glibc
import Kernel
import OCISpec
import Registry
import Terminal

/// `stage09-registry login`.
enum LoginCommand {
    static let command = Command(
        "hull login", "[REGISTRY]", "Say who you are at a registry, for the next times.",
        options: [
            Option("username", "u", .required("NAME"), "The name; asked for otherwise."),
            Option("password-stdin", nil, .none, "Read the password from standard input."),
        ] + TransferOptions.connection,
        notes: """
            Without REGISTRY it is Docker Hub. The registry is asked whether it is right first.
            It is kept in ~/.docker/config.json, readable by you alone, or by the helper that is
            named there (credsStore, credHelpers).
            """)

    static func run(_ arguments: [String]) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        let registry = try RegistryName.parse(options.operands, command)
        let settings = try TransferOptions.settings(options)
        let fromInput = options.has("password-stdin")
        if fromInput && options.value("username") == nil {
            throw KernelError(
                "option", "--password-stdin", .invalidArgument,
                remedy: "Give --username too: there is nobody to ask.")
        }
        var user = options.value("username") ?? ""
        if !options.has("username") { user = try Prompt.line("Name: ") }
        let password = try fromInput ? passwordFromInput() : Prompt.secret("Password: ")
        guard !user.isEmpty, !password.isEmpty, !user.contains(":") else {
            throw KernelError(
                "log in to", registry, .invalidArgument,
                remedy: "It takes a name without colons, and a password.")
        }
        let credential = Credential.password(user: user, password: password)
        try waiting { () async throws(KernelError) in
            try await RegistryQuestions(settings).logIn(to: registry, as: credential)
        }
        try settings.credentials.store(credential, for: registry)
        Program.write("Logged in to \(registry) as \(user)\n")
        return 0
    }

    /// A line's end belongs to the `echo` in front, not to the password.
    private static func passwordFromInput() throws(KernelError) -> String {
        let own = fcntl(0, F_DUPFD_CLOEXEC, 3)
        guard own >= 0 else { throw KernelError("read", "standard input", .current) }
        let bytes = try Descriptor(owning: own).readAll(limit: 64 << 10)
        var text = String(decoding: bytes, as: UTF8.self)
        if text.hasSuffix("\r\n") {
            text.removeLast()
        } else if text.hasSuffix("\n") {
            text.removeLast()
        }
        return text
    }
}

/// `stage09-registry logout`.
enum LogoutCommand {
    static let command = Command(
        "hull logout", "[REGISTRY]", "Forget who you are at a registry.",
        options: [Option("authfile", nil, .required("FILE"), "Forget it in this file.")])

    static func run(_ arguments: [String]) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        let registry = try RegistryName.parse(options.operands, command)
        let files = options.value("authfile").map { CredentialFiles(path: $0) } ?? CredentialFiles()
        guard try files.erase(registry) else {
            throw KernelError(
                "log out of", registry, .noSuchFile,
                remedy: "\(files.ownPath) knows nothing of it.")
        }
        Program.write("Logged out of \(registry)\n")
        return 0
    }
}

/// A registry as somebody types it.
private enum RegistryName {
    static func parse(_ operands: [String], _ command: Command) throws(KernelError) -> String {
        guard operands.count <= 1 else {
            throw KernelError(
                "arguments", operands[1], .invalidArgument, remedy: "See `\(command.name) --help`.")
        }
        var name = operands.first ?? "docker.io"
        for scheme in ["https://", "http://"] where name.hasPrefix(scheme) {
            name.removeFirst(scheme.count)
        }
        while name.hasSuffix("/") { name.removeLast() }
        if ["index.docker.io", "index.docker.io/v1", "registry-1.docker.io"].contains(name) {
            name = "docker.io"
        }
        guard (try? ImageReference("\(name)/x"))?.registry == name else {
            throw KernelError(
                "registry", "'\(operands.first ?? "")'", .invalidArgument,
                remedy: "It is a host, perhaps with a port: registry.example:5000.")
        }
        return name
    }
}
