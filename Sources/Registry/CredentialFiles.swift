import Glibc
import Kernel
import OCISpec

/// The files in which Docker and podman keep who one is, and the programs that keep it for them.
///
///     $REGISTRY_AUTH_FILE                       podman's, where somebody set it
///     $DOCKER_CONFIG/config.json                Docker's, where somebody set it
///     $XDG_RUNTIME_DIR/containers/auth.json     podman's
///     ~/.docker/config.json                     Docker's; what `login` writes
///
/// The first that knows a registry wins. See containers-auth.json(5).
public struct CredentialFiles: Sendable {
    /// Where to look, in this order.
    public let paths: [String]
    /// What `login` writes and `logout` reads first.
    public let ownPath: String
    private static let limit = 1 << 20

    /// The files of the user who runs this.
    public init() {
        let home = variable("HOME") ?? "/"
        let chosen = variable("REGISTRY_AUTH_FILE")
        let docker = (variable("DOCKER_CONFIG") ?? home + "/.docker") + "/config.json"
        let podman = variable("XDG_RUNTIME_DIR").map { $0 + "/containers/auth.json" }
        paths =
            variable("DOCKER_CONFIG") == nil
            ? [chosen, podman, docker].compactMap(\.self)
            : [chosen, docker, podman].compactMap(\.self)
        ownPath = chosen ?? docker
    }

    /// One file alone.
    public init(path: String) {
        paths = [path]
        ownPath = path
    }

    /// Who one is at `registry`, for the repository; nil for nobody in particular.
    /// - Throws: where a file or a helper is there and makes no sense.
    public func credential(
        for registry: String, repository: String = ""
    ) throws(KernelError) -> Credential? {
        for path in paths {
            let json = try read(path)
            if let helper = helper(for: registry, in: json),
                let found = try helper.credential(for: CredentialKey.helperName(registry))
            {
                return found
            }
            for key in CredentialKey.all(registry, repository) {
                guard let entry = json["auths"]?[key] else { continue }
                if let found = try credential(from: entry, key, path) { return found }
            }
        }
        return nil
    }

    /// Keeps it for the next time: with the helper, where the file names one, or in the file.
    public func store(_ credential: Credential, for registry: String) throws(KernelError) {
        let json = try read(ownPath)
        if let helper = helper(for: registry, in: json) {
            return try helper.store(credential, for: CredentialKey.helperName(registry))
        }
        let key = CredentialKey.file(registry)
        try write(json.setting("auths", (json["auths"] ?? [:]).setting(key, credential.json)))
    }

    /// Forgets it, wherever it is.
    /// - Returns: whether there was anything to forget.
    public func erase(_ registry: String) throws(KernelError) -> Bool {
        let json = try read(ownPath)
        var isFound = false
        if let helper = helper(for: registry, in: json) {
            isFound = try helper.erase(CredentialKey.helperName(registry))
        }
        guard case .object(let members)? = json["auths"] else { return isFound }
        let keys = CredentialKey.all(registry, "")
        let kept = members.filter { !keys.contains($0.name) }
        if kept.count == members.count { return isFound }
        try write(json.setting("auths", .object(kept)))
        return true
    }

    private func helper(for registry: String, in json: JSON) -> CredentialHelper? {
        for key in CredentialKey.all(registry, "") {
            if case .string(let name)? = json["credHelpers"]?[key] { return CredentialHelper(name) }
        }
        guard case .string(let name)? = json["credsStore"], !name.isEmpty else { return nil }
        return CredentialHelper(name)
    }

    private func credential(
        from entry: JSON, _ key: String, _ path: String
    ) throws(KernelError) -> Credential? {
        func text(_ name: String) -> String? {
            guard case .string(let text)? = entry[name], !text.isEmpty else { return nil }
            return text
        }
        if let token = text("identitytoken") { return .identityToken(token) }
        if let token = text("registrytoken") { return .registryToken(token) }
        guard let auth = text("auth") else { return nil }
        guard let bytes = Base64.decode(auth), let colon = bytes.firstIndex(of: 58) else {
            throw KernelError(
                "read", path, .badMessage,
                remedy: "What it has for \(key) is no name and password; log in there again.")
        }
        return .password(
            user: String(decoding: bytes[..<colon], as: UTF8.self),
            password: String(decoding: bytes[(colon + 1)...].prefix { $0 != 0 }, as: UTF8.self))
    }

    private func read(_ path: String) throws(KernelError) -> JSON {
        let bytes: [UInt8]
        do { bytes = try readFile(path, limit: Self.limit) } catch
            where error.errno == .noSuchFile || error.errno == .notDirectory
        {
            return [:]
        }
        if bytes.allSatisfy({ $0 == 32 || $0 == 10 }) { return [:] }
        do { return try JSON.parse(bytes) } catch {
            throw KernelError("read", path, .badMessage, remedy: "\(error).")
        }
    }

    /// Whole or not at all, and for the owner alone; what is not ours in it stays as it was.
    private func write(_ json: JSON) throws(KernelError) {
        // A link to a file elsewhere is to stay one.
        let path = fileType(ownPath) == nil ? ownPath : try resolvedPath(ownPath)
        if let slash = path.lastIndex(of: "/") {
            try makeDirectories(
                String(path[..<slash]), mode: 0o700, why: "a place for who one is at registries")
        }
        try replaceFile(path, with: (json.text(indent: 4) + "\n").utf8, mode: 0o600)
    }
}

/// Under which names a registry stands in the files.
private enum CredentialKey {
    private static let hub = "https://index.docker.io/v1/"

    /// All that may be meant, the most particular first.
    static func all(_ registry: String, _ repository: String) -> [String] {
        var keys: [String] = []
        var path = repository.split(separator: "/")
        while !path.isEmpty {
            keys.append(registry + "/" + path.joined(separator: "/"))
            path.removeLast()
        }
        keys += [registry, "https://" + registry, "http://" + registry]
        keys += ["https://\(registry)/v2/", "https://\(registry)/v1/", "https://\(registry)/"]
        if registry == "docker.io" { keys += [hub, "index.docker.io", "registry-1.docker.io"] }
        return keys
    }

    /// What Docker and podman both find again.
    static func file(_ registry: String) -> String { registry == "docker.io" ? hub : registry }

    static func helperName(_ registry: String) -> String { file(registry) }
}

extension Credential {
    /// As the files have it.
    fileprivate var json: JSON {
        switch self {
        case .password(let user, let password):
            ["auth": .string(Base64.encode(Array("\(user):\(password)".utf8)))]
        case .identityToken(let token):
            [
                "auth": .string(Base64.encode(Array("<token>:".utf8))),
                "identitytoken": .string(token),
            ]
        case .registryToken(let token): ["registrytoken": .string(token)]
        }
    }
}

extension JSON {
    /// The object with the member `name` changed or added.
    fileprivate func setting(_ name: String, _ value: JSON) -> JSON {
        guard case .object(var members) = self else { return .object([Member(name, value)]) }
        if let place = members.firstIndex(where: { $0.name == name }) {
            members[place].value = value
        } else {
            members.append(Member(name, value))
        }
        return .object(members)
    }
}

/// A variable of the environment that is there and not empty.
func variable(_ name: String) -> String? {
    guard let value = getenv(name) else { return nil }
    let text = String(cString: value)
    return text.isEmpty ? nil : text
}
