/// What a registry asks for before it answers: one entry of `WWW-Authenticate`.
///
///     Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="…"
///     Basic realm="Registry"
///
/// See RFC 9110, 11.3.
struct Challenge: Equatable, Sendable {
    /// The way to identify oneself, in small letters: `bearer` or `basic`.
    let scheme: String
    /// What belongs to it, with names in small letters.
    let parameters: [String: String]

    /// More than any registry has, and few enough to read at leisure.
    private static let limit = 8 << 10

    /// Reads one header. A registry's nonsense reads as no challenge at all.
    static func parse(_ header: String) -> [Challenge] {
        guard header.utf8.count <= limit else { return [] }
        var scanner = Scanner(rest: Array(header.utf8)[...])
        var found: [Challenge] = []
        while let scheme = scanner.token() {
            var parameters: [String: String] = [:]
            while let (name, value) = scanner.parameter() { parameters[name] = value }
            found.append(Challenge(scheme: scheme.lowercased(), parameters: parameters))
            guard scanner.isAtStartOfChallenge else { break }
        }
        return found
    }
}

private struct Scanner {
    var rest: ArraySlice<UInt8>

    private mutating func skip(_ bytes: StaticString) {
        let skipped = bytes.withUTF8Buffer(Array.init)
        rest = rest.drop { skipped.contains($0) }
    }

    var isAtStartOfChallenge: Bool { rest.first.map(Self.isToken) ?? false }

    mutating func token() -> String? {
        skip(" \t,")
        let word = rest.prefix(while: Self.isToken)
        rest = rest.dropFirst(word.count)
        return word.isEmpty ? nil : String(decoding: word, as: UTF8.self)
    }

    /// `name=value` or `name="value"`; nil, with nothing taken, where something else stands.
    mutating func parameter() -> (String, String)? {
        let start = rest
        if let name = token() {
            skip(" \t")
            if rest.first == UInt8(ascii: "=") {
                rest = rest.dropFirst()
                skip(" \t")
                if let value = value() { return (name.lowercased(), value) }
            }
        }
        rest = start
        skip(" \t,")
        return nil
    }

    private mutating func value() -> String? {
        guard rest.first == UInt8(ascii: "\"") else { return token() }
        rest = rest.dropFirst()
        var text: [UInt8] = []
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
            if byte == UInt8(ascii: "\\"), let next = rest.popFirst() {
                text.append(next)
            } else {
                text.append(byte)
            }
        }
        return nil
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        (33...126).contains(byte) && !"\"(),/:;<=>?@[\\]{}".utf8.contains(byte)
    }
}
