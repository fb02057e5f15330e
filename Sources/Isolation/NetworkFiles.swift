import Glibc
import Kernel

/// The files by which programs find names: `/etc/hosts` and `/etc/resolv.conf`, and
/// `/etc/hostname`.
///
/// They are made for each sandbox and mounted over the image's, as ``Volumes``.
public final class NetworkFiles {
    private let hostName: String?
    private let servers: [String]
    private let sharesHost: Bool
    private var addresses: [IPAddress] = []

    /// - Parameters:
    ///   - hostName: the sandbox's name; nil where it has none of its own.
    ///   - servers: the name servers to ask (`--dns`); the host's where there are none.
    ///   - sharesHost: whether the sandbox has the host's network.
    init(hostName: String?, servers: [String], sharesHost: Bool) {
        self.hostName = hostName
        self.servers = servers
        self.sharesHost = sharesHost
    }

    /// Tells which addresses the sandbox has got.
    func add(address: [IPAddress]) { addresses += address }

    /// Path and content of each.
    var contents: [(target: String, text: String)] {
        var files = [("/etc/hosts", hosts), ("/etc/resolv.conf", resolverConfiguration)]
        if let hostName { files.append(("/etc/hostname", hostName + "\n")) }
        return files
    }

    /// See `hosts(5)`.
    private var hosts: String {
        var text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        guard let hostName else { return text }
        let named = addresses.isEmpty ? ["127.0.0.1"] : addresses.map { "\($0)" }
        for address in named { text += "\(address)\t\(hostName)\n" }
        return text
    }

    /// The host's own, with other servers where it asks itself: its loopback is not the
    /// sandbox's. See `resolv.conf(5)`.
    private var resolverConfiguration: String {
        var lines: [String] = []
        for path in ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"] {
            lines = hostLines(path)
            if lines.contains(where: { $0.hasPrefix("nameserver") }) { break }
        }
        if !servers.isEmpty {
            lines =
                lines.filter { !$0.hasPrefix("nameserver") } + servers.map { "nameserver \($0)" }
        }
        return join(lines, with: "\n") + "\n"
    }

    private func hostLines(_ path: String) -> [String] {
        let text: String
        do { text = try readText(path) } catch { return [] }
        return split(text, at: "\n").filter { line in
            let words = split(line, at: " ")
            if line.isEmpty || sharesHost || words[0] != "nameserver" { return !line.isEmpty }
            let address = words.count > 1 ? words[1] : ""
            return !address.hasPrefix("127.") && address != "::1"
        }
    }
}
