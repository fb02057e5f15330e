/// The hash of some content, by which it is found and checked: `sha256:` and 64 digits.
///
/// See image-spec, descriptor.md, "Digests". Both algorithms that are registered there are
/// understood. No others: a digest becomes a file name, and this keeps it a harmless one.
public struct Digest: Hashable, Sendable, CustomStringConvertible {
    /// Which hash it is.
    public enum Algorithm: Hashable, Sendable, CaseIterable {
        /// SHA-256, which nearly everybody uses.
        case sha256
        /// SHA-512, which may be asked for.
        case sha512

        /// As it is written before the colon.
        public var name: String { self == .sha256 ? "sha256" : "sha512" }

        /// How many hexadecimal digits there are.
        public var digits: Int { self == .sha256 ? 64 : 128 }
    }

    /// Which hash it is.
    public let algorithm: Algorithm
    /// The hexadecimal digits, in lower case.
    public let hex: String

    /// Reads `sha256:…` or `sha512:…`.
    /// - Throws: an error for another algorithm, length or character.
    public init(_ text: String) throws(SpecificationError) {
        for algorithm in Algorithm.allCases where text.hasPrefix(algorithm.name + ":") {
            let digits = text.utf8.dropFirst(algorithm.name.utf8.count + 1)
            guard digits.count == algorithm.digits, Digest.isHex(digits) else { break }
            self.algorithm = algorithm
            hex = String(Substring(digits))
            return
        }
        throw SpecificationError(
            text,
            "a digest is sha256: and 64 digits of 0-9a-f, or sha512: and 128 of them")
    }

    /// Takes the bytes that the hash gives: 32 of SHA-256, 64 of SHA-512.
    public init(_ algorithm: Algorithm = .sha256, bytes: some Sequence<UInt8>) {
        let digits = Array("0123456789abcdef".utf8)
        let text = bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        self.algorithm = algorithm
        hex = String(decoding: text, as: UTF8.self)
    }

    /// The algorithm, a colon and the digits.
    public var description: String { algorithm.name + ":" + hex }

    /// The first 12 digits, as people see it.
    public var short: String { String(hex.prefix(12)) }

    static func isHex(_ text: some Collection<UInt8>) -> Bool {
        text.allSatisfy { byte in
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
        }
    }
}
