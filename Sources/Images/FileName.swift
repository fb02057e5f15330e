import Glibc

/// A file's name as the kernel knows it: bytes, of which only NUL and / have a meaning.
///
/// A `String` would not do: it repairs what is not UTF-8, and the file would get another name.
typealias FileName = [UInt8]

extension FileName {
    /// Calls `body` with the name as C wants it.
    func withCName<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        body(map { CChar(bitPattern: $0) } + [0])
    }

    /// The name for an error message; what is not UTF-8 or would upset a terminal shows as `?`.
    var shown: String {
        let text = String(decoding: self, as: UTF8.self)
        return String(
            text.map { character in
                let isControl = character.unicodeScalars.contains {
                    $0.value < 32 || (127..<160).contains($0.value)
                }
                return isControl || character == "\u{FFFD}" ? "?" : character
            })
    }
}
