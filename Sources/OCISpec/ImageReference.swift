/// The name of an image: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.
///
/// A short name means Docker Hub, as everywhere: `busybox` is
/// `docker.io/library/busybox:latest`. The grammar is that of the distribution
/// project's `reference` package.
public struct ImageReference: Hashable, Sendable {
    /// Where it comes from: a host, perhaps with a port.
    public let registry: String
    /// Its name there, such as `library/busybox`.
    public let repository: String
    /// Which version; nil only where there is a digest instead.
    public let tag: String?
    /// Exactly which image.
    public let digest: Digest?

    /// Reads a name as people write it.
    /// - Throws: what part of it the grammar does not allow.
    public init(_ text: String) throws(SpecificationError) {
        func fail(_ problem: String) -> SpecificationError { SpecificationError(text, problem) }
        var rest = Substring(text)
        var digest: Digest?
        if let at = rest.firstIndex(of: "@") {
            digest = try Digest(String(rest[rest.index(after: at)...]))
            rest = rest[..<at]
        }
        var tag: String?
        // A colon after the last slash starts a tag; one before it, a port.
        let lastPart = rest.lastIndex(of: "/").map { rest.index(after: $0) } ?? rest.startIndex
        if let colon = rest[lastPart...].firstIndex(of: ":") {
            tag = String(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
        }
        guard tag.map(Grammar.isTag) ?? true else {
            throw fail("a tag is up to 128 of A-Z a-z 0-9 _ . - and starts with no . or -")
        }
        let (registry, repository) = ImageReference.split(rest)
        guard Grammar.isRegistry(registry) else { throw fail("'\(registry)' is not a host name") }
        guard Grammar.isRepository(repository) else {
            throw fail("a name is small letters and digits, joined by one . _ / or by __ or -")
        }
        guard registry.utf8.count + repository.utf8.count < 255 else {
            throw fail("a name has no more than 255 characters")
        }
        guard rest.utf8.count != 64 || !Digest.isHex(rest.utf8) else {
            throw fail("64 digits are an id, not a name")
        }
        self.registry = registry
        self.repository = repository
        self.digest = digest
        self.tag = tag ?? (digest == nil ? "latest" : nil)
    }

    /// What stands before the first slash is a registry if it looks like a host.
    private static func split(_ name: Substring) -> (registry: String, repository: String) {
        if let slash = name.firstIndex(of: "/") {
            let first = name[..<slash]
            let isHost =
                first == "localhost" || first.contains { ".:[".contains($0) || $0.isUppercase }
            if isHost {
                let registry = first == "index.docker.io" ? "docker.io" : String(first)
                let rest = String(name[name.index(after: slash)...])
                return (registry, registry == hub && !rest.contains("/") ? library + rest : rest)
            }
            return (hub, String(name))
        }
        return (hub, library + String(name))
    }

    private static let hub = "docker.io"
    private static let library = "library/"

    /// Registry and repository, without tag and digest.
    public var name: String { registry + "/" + repository }

    /// The repository as people write it: without what goes without saying.
    public var familiarName: String {
        guard registry == ImageReference.hub else { return name }
        let isOfficial = repository.hasPrefix(ImageReference.library)
        let short =
            isOfficial ? String(repository.dropFirst(ImageReference.library.count)) : repository
        // Such as docker.io/localhost/app: without its registry it would be on another.
        return ImageReference.split(Substring(short)) == (registry, repository) ? short : name
    }

    /// The whole name as people write it.
    public var familiar: String { familiarName + suffix }

    private var suffix: String {
        (tag.map { ":" + $0 } ?? "") + (digest.map { "@" + $0.description } ?? "")
    }
}

extension ImageReference: CustomStringConvertible {
    /// The whole name, with nothing left out.
    public var description: String { name + suffix }
}

/// The rules, on bytes: whatever is not ASCII matches none of them.
private enum Grammar {
    static func isTag(_ tag: String) -> Bool {
        guard let first = tag.utf8.first, tag.utf8.count <= 128 else { return false }
        return isWord(first) && tag.utf8.allSatisfy { isWord($0) || $0 == dot || $0 == dash }
    }

    /// `alphanumerics (separator alphanumerics)*`, in parts joined by slashes.
    static func isRepository(_ name: String) -> Bool {
        name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .allSatisfy { isPathPart(Array($0)) }
    }

    private static func isPathPart(_ part: [UInt8]) -> Bool {
        guard let first = part.first, let last = part.last, isSmall(first), isSmall(last) else {
            return false
        }
        let separators = part.split(whereSeparator: isSmall)
        return separators.allSatisfy { run in
            run.allSatisfy { $0 == dash } || Array(run) == [dot] || Array(run) == [underscore]
                || Array(run) == [underscore, underscore]
        }
    }

    /// `host[:port]`, where the host is a name, an address, or an IPv6 address in brackets.
    static func isRegistry(_ text: String) -> Bool {
        var host = Array(text.utf8)[...]
        if let close = host.lastIndex(of: UInt8(ascii: "]")) {
            guard host.first == UInt8(ascii: "[") else { return false }
            let address = host[(host.startIndex + 1)..<close]
            let port = host[(close + 1)...]
            return !address.isEmpty && address.allSatisfy { isHexDigit($0) || $0 == colon }
                && (port.isEmpty || (port.first == colon && isPort(port.dropFirst())))
        }
        if let mark = host.firstIndex(of: colon) {
            guard isPort(host[(mark + 1)...]) else { return false }
            host = host[..<mark]
        }
        return host.split(separator: dot, omittingEmptySubsequences: false).allSatisfy { label in
            label.first.map(isLetterOrDigit) ?? false && label.last.map(isLetterOrDigit) ?? false
                && label.allSatisfy { isLetterOrDigit($0) || $0 == dash }
        }
    }

    private static func isPort(_ digits: ArraySlice<UInt8>) -> Bool {
        !digits.isEmpty && digits.count <= 5 && digits.allSatisfy(isDigit)
    }

    private static let dot = UInt8(ascii: ".")
    private static let dash = UInt8(ascii: "-")
    private static let colon = UInt8(ascii: ":")
    private static let underscore = UInt8(ascii: "_")

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
    private static func isSmall(_ byte: UInt8) -> Bool {
        isDigit(byte) || (97...122).contains(byte)
    }
    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        isSmall(byte) || (65...90).contains(byte)
    }
    private static func isWord(_ byte: UInt8) -> Bool {
        isLetterOrDigit(byte) || byte == underscore
    }
    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (97...102).contains(byte) || (65...70).contains(byte)
    }
}
