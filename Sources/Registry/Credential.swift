import Kernel
import OCISpec

/// Who somebody is, as a registry wants to be told it.
public enum Credential: Equatable, Sendable {
    /// A name and its password.
    case password(user: String, password: String)
    /// A refresh token, which the token endpoint exchanges for others. See oauth.md.
    case identityToken(String)
    /// A token that the registry takes as it is.
    case registryToken(String)
}

/// Base64, which JSON and HTTP put names and passwords in. See RFC 4648, 4.
enum Base64 {
    private static let digits = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: some Collection<UInt8>) -> String {
        var text: [UInt8] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let group = Array(rest.prefix(3))
            rest = rest.dropFirst(3)
            let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
            for position in 0..<4 {
                let isFilled = position <= group.count
                text.append(
                    isFilled ? digits[bits >> (18 - 6 * position) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// nil where `text` is not base64.
    static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var bits = 0
        var count = 0
        for byte in text.utf8.filter({ $0 != UInt8(ascii: "=") && $0 != 10 && $0 != 13 }) {
            guard let value = digits.firstIndex(of: byte) else { return nil }
            bits = (bits << 6 | value) & 0xFFFF
            count += 6
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> count))
            }
        }
        return bytes
    }
}
