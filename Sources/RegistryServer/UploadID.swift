import CLinux
import Glibc

/// The name of an upload: a random UUID. Whoever knows it may go on with the upload.
struct UploadID: Hashable, Sendable, CustomStringConvertible {
    let description: String

    /// A new one. See `getrandom(2)`.
    init() {
        var bytes = [UInt8](repeating: 0, count: 16)
        _ = getrandom(&bytes, bytes.count, 0)
        // Version 4, as RFC 9562 marks random ones.
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        var text = ""
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text += "-" }
            text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        description = text
    }

    /// Checks what a client sent: 36 characters of 0-9a-f and `-`.
    init?(_ text: some StringProtocol) {
        let isUUID =
            text.utf8.count == 36
            && text.utf8.allSatisfy { byte in
                byte == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            }
        guard isUUID else { return nil }
        description = String(text)
    }
}
