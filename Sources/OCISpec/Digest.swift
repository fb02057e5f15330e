/// The SHA-256 of some content, by which it is found and checked: `sha256:` and 64 digits.
///
/// See image-spec, descriptor.md, "Digests". Other algorithms are allowed there;
/// nobody uses them for images, and refusing them keeps file names predictable.
public struct Digest: Hashable, Sendable, CustomStringConvertible {
    /// The 64 hexadecimal digits, in lower case.
    public let hex: String

    /// Reads `sha256:…`.
    /// - Throws: an error for another algorithm, length or character.
    public init(_ text: String) throws(SpecificationError) {
        let prefix = "sha256:"
        guard text.hasPrefix(prefix), Digest.isHex(text.utf8.dropFirst(prefix.utf8.count)) else {
            throw SpecificationError(text, "a digest is sha256: and 64 digits of 0-9a-f")
        }
        hex = String(text.dropFirst(prefix.count))
    }

    /// Takes the 32 bytes that SHA-256 gives.
    public init(bytes: some Sequence<UInt8>) {
        let digits = Array("0123456789abcdef".utf8)
        let text = bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        hex = String(decoding: text, as: UTF8.self)
    }

    /// `sha256:` and the digits.
    public var description: String { "sha256:" + hex }

    /// The first 12 digits, as people see it.
    public var short: String { String(hex.prefix(12)) }

    static func isHex(_ text: some Collection<UInt8>) -> Bool {
        text.count == 64
            && text.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            }
    }
}
