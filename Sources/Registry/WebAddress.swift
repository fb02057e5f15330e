import Kernel
import OCISpec

/// The address of something that HTTP can ask for, taken apart.
///
/// Registries answer with addresses, and what a registry answers is not to be trusted: so this
/// takes `http` and `https` and nothing else, no user names, and no byte that two programs
/// could read in two ways. See RFC 3986.
public struct WebAddress: Equatable, Sendable, CustomStringConvertible {
    /// Whether what is sent can be read on the way.
    public enum Scheme: String, Sendable {
        /// Over TLS.
        case https
        /// Over TCP alone.
        case http

        var port: Int { self == .https ? 443 : 80 }
    }

    /// How it is asked.
    public var scheme: Scheme
    /// A name or an address; one of IPv6 in brackets.
    public var host: String
    /// The TCP port.
    public var port: Int
    /// Path and query, from the first slash on.
    public var target: String

    /// An address from its parts.
    public init(_ scheme: Scheme, host: String, port: Int? = nil, target: String = "/") {
        self.scheme = scheme
        self.host = host
        self.port = port ?? scheme.port
        self.target = target
    }

    /// Reads an absolute address.
    /// - Throws: what is wrong with it.
    public init(_ text: String) throws(SpecificationError) {
        let shown = String(text.prefix(200))
        guard text.utf8.count <= 16 << 10, text.utf8.allSatisfy(Self.isPlain) else {
            throw SpecificationError(shown, "an address is printable ASCII, and not that long")
        }
        let (word, rest) = try Self.cutScheme(text)
        guard let scheme = Scheme(rawValue: word.lowercased()) else {
            throw SpecificationError(shown, "only http and https are followed")
        }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        let authority = rest[..<end]
        guard !authority.contains("@") else {
            throw SpecificationError(shown, "a name or password in an address is refused")
        }
        let target = rest[end...].prefix { $0 != "#" }
        let (host, port) = try Self.cut(authority)
        self.init(
            scheme, host: host, port: port,
            target: target.hasPrefix("/") ? String(target) : "/" + target)
    }

    /// What `reference` means in an answer from this address: another one, or a path here.
    public func resolving(_ reference: String) throws(SpecificationError) -> WebAddress {
        if reference.hasPrefix("//") { return try WebAddress(scheme.rawValue + ":" + reference) }
        if reference.hasPrefix("/") || reference.hasPrefix("?") {
            let path = target.prefix { $0 != "?" }
            return try WebAddress(origin + (reference.hasPrefix("/") ? "" : path) + reference)
        }
        if reference.contains("://") { return try WebAddress(reference) }
        throw SpecificationError(
            String(reference.prefix(200)), "it is neither an address nor a path from the root")
    }

    /// The same with one more `name=value` in its query.
    public func adding(_ name: String, _ value: String) -> WebAddress {
        var copy = self
        copy.target += (target.contains("?") ? "&" : "?") + name + "=" + percentEncoded(value)
        return copy
    }

    /// Who is asked: everything before the path. Two with the same origin are the same server.
    public var origin: String {
        "\(scheme.rawValue)://\(host)" + (port == scheme.port ? "" : ":\(port)")
    }

    /// The whole address.
    public var description: String { origin + target }

    /// Without the query, which may hold secrets and says little to people.
    var shown: String { origin + target.prefix { $0 != "?" } }

    /// Whether the host is this machine: 127.0.0.0/8, ::1, or `localhost`.
    public var isLoopback: Bool { Self.isLoopback(host) }

    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host.hasSuffix(".localhost") || host == "[::1]" { return true }
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false)
        return numbers.count == 4 && numbers[0] == "127" && numbers.allSatisfy { UInt8($0) != nil }
    }

    private static func cutScheme(
        _ text: String
    ) throws(SpecificationError) -> (Substring, Substring) {
        guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://") else {
            throw SpecificationError(String(text.prefix(200)), "an address begins with https://")
        }
        return (text[..<colon], text[text.index(colon, offsetBy: 3)...])
    }

    private static func cut(
        _ authority: Substring
    ) throws(SpecificationError) -> (host: String, port: Int?) {
        var host = authority
        var port: Int?
        if let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") {
            host = authority[..<colon]
            port = Int(authority[authority.index(after: colon)...])
            guard let port, (1...65535).contains(port) else {
                throw SpecificationError(String(authority), "a port is a number up to 65535")
            }
        }
        guard isHost(host) else {
            throw SpecificationError(String(authority), "that is not the name of a host")
        }
        return (host.lowercased(), port)
    }

    private static func isHost(_ host: Substring) -> Bool {
        if host.hasPrefix("["), host.hasSuffix("]") {
            let address = host.dropFirst().dropLast()
            return !address.isEmpty
                && address.allSatisfy { $0.isHexDigit || $0 == ":" || $0 == "." }
        }
        return !host.isEmpty && host.utf8.count < 254
            && host.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                    || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
                    || byte == UInt8(ascii: "_")
            }
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (33...126).contains(byte) && byte != UInt8(ascii: "\\")
    }
}

/// Text as it may stand in a query. See RFC 3986, 2.3.
func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in text.utf8 {
        let isPlain =
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
            || "-._~".utf8.contains(byte)
        bytes +=
            isPlain ? [byte] : [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
    return String(decoding: bytes, as: UTF8.self)
}
