import CLinux
import Glibc
import Kernel

/// A port of the host that leads to one of a container (`-p`).
public struct PublishedPort: Equatable, Sendable {
    /// The host's address that it is published on; nil for all.
    let address: IPAddress?
    let hostPort: UInt16
    let containerPort: UInt16
    let isUDP: Bool

    /// Reads `[IP:]HOST:CONTAINER[/tcp|/udp]`, an IPv6 address in brackets.
    /// - Throws: `EINVAL` where it is none.
    public init(parsing text: String) throws(KernelError) {
        let words = split(text, at: "/")
        var parts = split(words[0], at: ":")
        var address: IPAddress?
        if parts.count > 2 {
            let written = join(Array(parts.dropLast(2)), with: ":")
            address = IPAddress(Self.withoutBrackets(written))
            guard let address, address.isVersion6 == written.hasPrefix("[") else {
                throw Self.refusal(text)
            }
            parts = parts.suffix(2)
        }
        guard parts.count == 2, let hostPort = UInt16(parts[0]), hostPort > 0,
            let containerPort = UInt16(parts[1]), containerPort > 0, words.count <= 2,
            let kind = ["tcp", "udp"].firstIndex(of: words.count == 2 ? words[1] : "tcp")
        else { throw Self.refusal(text) }
        self.address = address
        self.hostPort = hostPort
        self.containerPort = containerPort
        isUDP = kind == 1
    }

    private static func withoutBrackets(_ text: String) -> String {
        text.hasPrefix("[") && text.hasSuffix("]") ? String(text.dropFirst().dropLast()) : text
    }

    private static func refusal(_ text: String) -> KernelError {
        KernelError(
            "published port", text.isEmpty ? "\"\"" : text, .invalidArgument,
            remedy: "Write [IP:]HOST:CONTAINER[/tcp|/udp] with ports from 1 to 65535, and an"
                + " IPv6 address in brackets.")
    }

    /// The addresses it is published on: one, or all of each protocol that there is.
    private func addresses(hasIPv6: Bool) -> [IPAddress] {
        if let address { return [address] }
        return ["0.0.0.0", "::"].prefix(hasIPv6 ? 2 : 1).compactMap { IPAddress($0) }
    }

    /// Elements for the maps of ``NetworkRules``.
    func elements(to container: [IPAddress]) -> [String] {
        let hasIPv6 = container.contains(where: \.isVersion6)
        return addresses(hasIPv6: hasIPv6).compactMap { host in
            guard let target = container.first(where: { $0.isVersion6 == host.isVersion6 }) else {
                return nil
            }
            let map = host.isVersion6 ? "published6" : "published4"
            let key = "\(host)\(address == nil ? "/0" : "")"
            return "\(map) { \(key) . \(isUDP ? "udp" : "tcp") . \(hostPort)"
                + " : \(target) . \(containerPort) }"
        }
    }

    // book: begin hold-port
    /// Sockets that keep the port from everybody else.
    ///
    /// Nothing ever arrives at them: packets are redirected before they get that far. But the
    /// kernel gives a port to one program only, so whoever wants it next is refused, and so are
    /// we where somebody has it. They go with the process.
    func hold(hasIPv6: Bool) throws(KernelError) -> [CInt] {
        var sockets: [CInt] = []
        do throws(KernelError) {
            for address in addresses(hasIPv6: hasIPv6) {
                sockets.append(try hold(address))
            }
        } catch {
            for socket in sockets { close(socket) }
            throw error
        }
        return sockets
    }
    // book: end hold-port

    private func hold(_ address: IPAddress) throws(KernelError) -> CInt {
        let kind = (isUDP ? SOCK_DGRAM : SOCK_STREAM).rawValue | SOCK_CLOEXEC.rawValue
        let socket = Glibc.socket(CInt(address.isVersion6 ? AF_INET6 : AF_INET), CInt(kind), 0)
        guard socket >= 0 else { throw KernelError("socket", "\(address)", .current) }
        do throws(KernelError) {
            try holdPort(
                socket, address, hostPort, isListening: !isUDP,
                why: "nobody else gets this port of the host's")
        } catch {
            close(socket)
            throw error.renamed("publish port", description).advising(advice(for: error.errno))
        }
        return socket
    }

    private func advice(for errno: Errno) -> String {
        switch errno.rawValue {
        case EADDRINUSE:
            "A program of this host or another container has it (see `ss -lnp`); choose another."
        case EADDRNOTAVAIL: "This host does not have that address (see `ip address`)."
        default: "Choose another port."
        }
    }
}

extension PublishedPort: CustomStringConvertible {
    /// As it is written on the command line.
    public var description: String {
        let host = address.map { $0.isVersion6 ? "[\($0)]:" : "\($0):" } ?? ""
        return "\(host)\(hostPort):\(containerPort)\(isUDP ? "/udp" : "")"
    }
}
