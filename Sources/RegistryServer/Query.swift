/// What follows the question mark of a URL.
struct Query: Sendable {
    private var items: [(name: String, value: String)] = []

    /// Reads `a=1&b=2`; what cannot be decoded is as good as not there.
    init(_ text: some StringProtocol) {
        for item in text.split(separator: "&") {
            let halves = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = decodePercent(String(halves[0])),
                let value = decodePercent(halves.count > 1 ? String(halves[1]) : "")
            else { continue }
            items.append((name, value))
        }
    }

    /// The first value of `name`.
    subscript(name: String) -> String? { items.first { $0.name == name }?.value }

    /// All values of `name`.
    func all(_ name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }
}

/// Turns `%2F` into `/`; nil where the result would not be text, or holds a NUL.
func decodePercent(_ text: String) -> String? {
    guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "%") else {
            bytes.append(byte)
            continue
        }
        guard rest.count >= 2,
            let decoded = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
            decoded != 0
        else { return nil }
        bytes.append(decoded)
        rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
}

/// Writes what may not stand in a query as `%` and two digits.
func encodePercent(_ text: String) -> String {
    var encoded = ""
    for byte in text.utf8 {
        let scalar = Unicode.Scalar(byte)
        let isPlain =
            scalar.isASCII
            && (scalar.properties.isAlphabetic || "0123456789-._~".unicodeScalars.contains(scalar))
        if isPlain {
            encoded.unicodeScalars.append(scalar)
        } else {
            encoded += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }
    }
    return encoded
}
