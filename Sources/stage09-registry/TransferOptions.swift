import Kernel
import Registry
import Terminal

/// The options that say how a registry is spoken to.
enum TransferOptions {
    static let connection = [
        Option("insecure", nil, .none, "Allow plain HTTP, and certificates of nobody known."),
        Option("cert-dir", nil, .required("DIR"), "Use its ca.crt, client.cert and client.key."),
        Option("authfile", nil, .required("FILE"), "Read names and passwords here alone."),
        Option("timeout", nil, .required("SECONDS"), "How long a registry may be silent: 30."),
        Option("retries", nil, .required("N"), "How often to try again what broke off: 5."),
    ]
    static let output = [
        Option("quiet", "q", .none, "Print the digest alone."),
        Option("json", nil, .none, "For programs: a line of JSON for each step."),
    ]
    static let parallel = Option(
        "parallel", nil, .required("N"), "How many layers travel at once: 3.")
    static let mirror = Option(
        "mirror", nil, .required("HOST[:PORT]"), "Ask there first; repeatable, in order.")
    static let chunkSize = Option(
        "chunk-size", nil, .required("SIZE"), "Send layers in pieces, such as 16m.")

    static let notes = """
        Registries on this machine (localhost) may speak plain HTTP; others have to speak TLS.
        CAs and client certificates: /etc/docker/certs.d/HOST:PORT/ and /etc/containers/certs.d/.
        Names and passwords: ~/.docker/config.json and its helpers; `login` writes them.
        """

    static func settings(_ options: Arguments) throws(KernelError) -> TransferSettings {
        var settings = TransferSettings()
        settings.isInsecure = options.has("insecure")
        settings.certificateDirectory = options.value("cert-dir")
        if let directory = settings.certificateDirectory, fileType(directory) != .directory {
            throw KernelError("open", directory, .notDirectory)
        }
        if let path = options.value("authfile") {
            settings.credentials = CredentialFiles(path: path)
        }
        if let text = options.value("timeout") {
            guard let seconds = Double(text), seconds > 0, seconds < 1e6 else {
                throw refusal("timeout", text, "It is a number of seconds.")
            }
            settings.silenceTimeout = seconds
            settings.connectTimeout = min(seconds, settings.connectTimeout)
        }
        settings.retries = try number("retries", options, 0...100) ?? settings.retries
        settings.parallelLayers = try number("parallel", options, 1...16) ?? settings.parallelLayers
        if let text = options.value("chunk-size") {
            guard let size = ByteSize.parse(text), size > 0 else {
                throw refusal("chunk-size", text, "It is a size such as 16m.")
            }
            settings.chunkSize = size
        }
        return settings
    }

    private static func number(
        _ name: String, _ options: Arguments, _ range: ClosedRange<Int>
    ) throws(KernelError) -> Int? {
        guard let text = options.value(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw refusal(
                name, text, "It is a number from \(range.lowerBound) to \(range.upperBound).")
        }
        return number
    }

    private static func refusal(_ name: String, _ text: String, _ remedy: String) -> KernelError {
        KernelError("option", "--\(name) \(text)", .invalidArgument, remedy: remedy)
    }
}

extension Command {
    /// The only operand.
    func operand(_ arguments: Arguments) throws(KernelError) -> String {
        guard arguments.operands.count == 1 else { throw missing(operandsOf: arguments) }
        return arguments.operands[0]
    }
}
