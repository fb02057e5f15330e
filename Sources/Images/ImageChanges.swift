import Kernel
import OCISpec

extension ImageProcess {
    /// Changes the configuration by an instruction as Dockerfiles have them: `WORKDIR /srv`.
    ///
    /// These are the instructions that `docker import --change` takes, those that make no layer.
    public mutating func apply(_ change: String) throws(KernelError) {
        let trimmed = change.trimmingSpaces()
        let keyword = trimmed.prefix { !isSpace($0) }
        let rest = trimmed.dropFirst(keyword.count).trimmingSpaces()
        guard !rest.isEmpty else { throw wrong(change, "It needs a value.") }
        switch keyword.uppercased() {
        case "CMD": command = commandLine(rest)
        case "ENTRYPOINT": entrypoint = commandLine(rest)
        case "ENV": for (name, value) in try pairs(rest, change) { setEnvironment(name, value) }
        case "LABEL": for (name, value) in try pairs(rest, change) { labels[name] = value }
        case "WORKDIR": setWorkingDirectory(rest)
        case "USER": user = rest
        case "STOPSIGNAL": stopSignal = rest
        case "VOLUME": volumes = merged(volumes, try paths(rest, change))
        case "EXPOSE": exposedPorts = merged(exposedPorts, try ports(rest, change))
        default:
            throw wrong(
                change,
                "The instructions are CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, "
                    + "VOLUME and WORKDIR.")
        }
    }

    private mutating func setEnvironment(_ name: String, _ value: String) {
        environment.removeAll { $0.hasPrefix(name + "=") }
        environment.append(name + "=" + value)
    }

    /// A relative one goes on from the one before.
    private mutating func setWorkingDirectory(_ path: String) {
        let base = workingDirectory ?? "/"
        workingDirectory =
            path.hasPrefix("/") ? path : base.hasSuffix("/") ? base + path : base + "/" + path
    }

    private func merged(_ old: [String], _ new: [String]) -> [String] {
        Array(Set(old + new)).sorted()
    }
}

private func wrong(_ change: String, _ remedy: String) -> KernelError {
    KernelError("--change", "'\(change)'", .invalidArgument, remedy: remedy)
}

/// A JSON array of words, or anything else, which is for a shell.
private func commandLine(_ text: String) -> [String] {
    words(inJSON: text) ?? ["/bin/sh", "-c", text]
}

private func words(inJSON text: String) -> [String]? {
    guard text.hasPrefix("["), let json = try? JSON.parse(text) else { return nil }
    return try? JSONReader(json).strings()
}

private func paths(_ text: String, _ change: String) throws(KernelError) -> [String] {
    if let words = words(inJSON: text) { return words }
    return try split(text, change)
}

private func ports(_ text: String, _ change: String) throws(KernelError) -> [String] {
    var ports: [String] = []
    for word in try split(text, change) {
        let parts = word.split(separator: "/", omittingEmptySubsequences: false)
        let kind = parts.count == 2 ? parts[1].lowercased() : "tcp"
        guard parts.count <= 2, let number = UInt16(parts[0]), number > 0,
            ["tcp", "udp", "sctp"].contains(kind)
        else { throw wrong(change, "A port is a number up to 65535, as in 80 or 53/udp.") }
        ports.append("\(number)/\(kind)")
    }
    return ports
}

/// `NAME=VALUE NAME=VALUE`, or the old form `NAME VALUE`, where the rest is the value.
private func pairs(
    _ text: String, _ change: String
) throws(KernelError) -> [(name: String, value: String)] {
    let words = try split(text, change)
    if let first = words.first, !first.contains("="), words.count > 1 {
        let rest = text.drop { !isSpace($0) }
        return [(first, rest.trimmingSpaces())]
    }
    var pairs: [(name: String, value: String)] = []
    for word in words {
        guard let equals = word.firstIndex(of: "="), equals != word.startIndex else {
            throw wrong(change, "'\(word)' is not NAME=VALUE.")
        }
        pairs.append((String(word[..<equals]), String(word[word.index(after: equals)...])))
    }
    return pairs
}

/// The words of a line, with quotes and backslashes as a shell takes them.
private func split(_ text: String, _ change: String) throws(KernelError) -> [String] {
    var words: [String] = []
    var word: String?
    var quote: Character?
    var isEscaped = false
    for character in text {
        if isEscaped {
            word = (word ?? "") + String(character)
            isEscaped = false
        } else if character == "\\" && quote != "'" {
            isEscaped = true
        } else if character == quote {
            quote = nil
        } else if quote == nil && (character == "\"" || character == "'") {
            quote = character
            word = word ?? ""
        } else if quote == nil && isSpace(character) {
            if let finished = word { words.append(finished) }
            word = nil
        } else {
            word = (word ?? "") + String(character)
        }
    }
    if quote != nil || isEscaped { throw wrong(change, "A quote is not closed.") }
    return words + (word.map { [$0] } ?? [])
}

private func isSpace(_ character: Character) -> Bool {
    character == " " || character == "\t" || character == "\n"
}

extension StringProtocol {
    fileprivate func trimmingSpaces() -> String {
        var text = Substring(self)
        while let last = text.last, isSpace(last) { text.removeLast() }
        return String(text.drop(while: isSpace))
    }
}
