/// The name of a repository, such as `library/alpine`.
///
/// Everything that becomes part of a path is checked here or is a ``Digest``; there is no other
/// way for a client's words to reach the file system. See distribution-spec, "Pulling manifests".
struct RepositoryName: Hashable, Sendable, CustomStringConvertible {
    /// The longest name. With a host before it, clients take 255 bytes.
    static let limit = 200

    /// As clients write it.
    let description: String

    /// Checks `text` against the grammar: parts with slashes between them.
    init?(_ text: some StringProtocol) {
        guard text.utf8.count <= RepositoryName.limit else { return nil }
        let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.allSatisfy({ RepositoryName.isPart(Array($0)) }) else { return nil }
        description = String(text)
    }

    /// The name of its directory: `+` is in no name, so this is one to one, and every
    /// repository's directory is next to the others.
    var directoryName: String {
        String(description.map { $0 == "/" ? "+" : $0 })
    }

    /// The repository whose directory is called so.
    init?(directoryName: String) { self.init(String(directoryName.map { $0 == "+" ? "/" : $0 })) }

    /// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
    private static func isPart(_ part: [UInt8]) -> Bool {
        guard let first = part.first, let last = part.last else { return false }
        guard isAlphanumeric(first), isAlphanumeric(last) else { return false }
        var position = 0
        while position < part.count {
            let run = part[position...].prefix { !isAlphanumeric($0) }
            if !run.isEmpty && !isSeparator(run) { return false }
            position += max(run.count, 1)
        }
        return true
    }

    private static func isSeparator(_ run: ArraySlice<UInt8>) -> Bool {
        if run.allSatisfy({ $0 == UInt8(ascii: "-") }) { return true }
        return [".", "_", "__"].contains(String(decoding: run, as: UTF8.self))
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}

/// The name of a manifest in its repository, such as `latest`.
struct Tag: Hashable, Sendable, CustomStringConvertible {
    let description: String

    /// Checks `text` against `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
    init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard (1...128).contains(bytes.count), bytes.allSatisfy(Tag.isAllowed) else { return nil }
        // A name that begins with a dot would be hidden from `ls`, or mean a directory.
        guard bytes[0] != UInt8(ascii: "."), bytes[0] != UInt8(ascii: "-") else { return nil }
        description = String(text)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
