import Glibc
import Kernel

/// The environment of a container: nothing of the host's but what is asked for.
public struct ContainerEnvironment: Sendable {
    private var variables: [(name: String, value: String)] = []

    /// What every container has; then what the image says, then the user.
    ///
    /// - Parameters:
    ///   - image: `NAME=VALUE`, from the image's configuration.
    ///   - requests: `NAME=VALUE`, or `NAME` for the value that it has here.
    /// - Throws: `EINVAL` for a request without a name.
    public init(
        hasTerminal: Bool, image: [String], requests: [String]
    ) throws(KernelError) {
        set("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        if hasTerminal { set("TERM=" + (Self.hostValue("TERM") ?? "xterm")) }
        for text in image { set(text) }
        for text in requests {
            guard let first = text.first, first != "=" else {
                throw KernelError(
                    "environment variable", text.isEmpty ? "\"\"" : text, .invalidArgument,
                    remedy: "Write NAME=VALUE, or NAME for the value that it has here.")
            }
            if text.contains("=") {
                set(text)
            } else if let value = Self.hostValue(text) {
                set("\(text)=\(value)")
            }
        }
    }

    /// As `execve(2)` takes it.
    public var strings: [String] { variables.map { "\($0.name)=\($0.value)" } }

    private mutating func set(_ text: String) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        variables.removeAll { $0.name == name }
        variables.append((name, parts.count == 2 ? String(parts[1]) : ""))
    }

    private static func hostValue(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}
