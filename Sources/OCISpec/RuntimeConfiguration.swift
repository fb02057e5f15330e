/// What a container is, as `config.json` of a bundle says. See runtime-spec, `config.md`.
///
/// What the file says of other systems than Linux, and of things that came after this was
/// written, is left out: a runtime has to take files that know more than it does.
public struct RuntimeConfiguration: Sendable {
    /// The version of the specification that it was written for.
    public var version: String
    /// The root file system: absolute, or below the bundle.
    public var rootPath: String
    /// Whether the root file system cannot be written.
    public var rootIsReadOnly: Bool
    /// What is mounted, in that order.
    public var mounts: [RuntimeMount]
    /// What runs in it; nil where that is not known as yet.
    public var process: RuntimeProcess?
    /// The host name.
    public var hostname: String?
    /// The NIS domain name.
    public var domainname: String?
    /// Programs of the host's that are run at certain moments.
    public var hooks: RuntimeHooks
    /// Notes for people and programs.
    public var annotations: StringMap
    /// What only Linux has.
    public var linux: RuntimeLinux

    /// Reads the object.
    /// - Throws: what is wrong with it, and where.
    public init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        version = try json["ociVersion"].string()
        try Self.check(version, json["ociVersion"])
        let root = try json["root"].object()
        rootPath = try root["path"].string()
        rootIsReadOnly = try root["readonly"].present?.bool() ?? false
        mounts = []
        for mount in try json["mounts"].present?.array() ?? [] {
            mounts.append(try RuntimeMount(mount))
        }
        process = try json["process"].present.map { process throws(SpecificationError) in
            try RuntimeProcess(process)
        }
        hostname = try json["hostname"].optionalString()
        domainname = try json["domainname"].optionalString()
        hooks = try RuntimeHooks(json["hooks"])
        annotations = try json["annotations"].stringMap()
        linux = try RuntimeLinux(json["linux"])
    }

    /// A version is three numbers (semver); any `1.…` is understood. See runtime-spec, `spec.md`.
    private static func check(
        _ version: String, _ place: JSONReader
    ) throws(SpecificationError) {
        var numbers: [String] = [""]
        for scalar in version.unicodeScalars {
            if scalar == "-" || scalar == "+" { break }
            if scalar == "." {
                numbers.append("")
            } else {
                numbers[numbers.count - 1].unicodeScalars.append(scalar)
            }
        }
        let isVersion = numbers.count == 3 && numbers.allSatisfy { UInt($0) != nil }
        guard isVersion else { throw place.error("\(version) is no version, such as 1.2.0") }
        guard numbers[0] == "1" || numbers[0] == "0" else {
            throw place.error("\(version) is newer than 1, which is what this understands")
        }
    }
}

/// Programs that a runtime runs at certain moments of a container's life. See runtime-spec,
/// `config.md`, "POSIX-platform Hooks".
public struct RuntimeHooks: Sendable {
    /// On the host, once the namespaces are there; the older name of ``createRuntime``.
    public var prestart: [RuntimeHook] = []
    /// On the host, once the namespaces are there, before `pivot_root`.
    public var createRuntime: [RuntimeHook] = []
    /// In the container's namespaces, with the host's files, before `pivot_root`.
    public var createContainer: [RuntimeHook] = []
    /// In the container, right before its process.
    public var startContainer: [RuntimeHook] = []
    /// On the host, once the container's process runs.
    public var poststart: [RuntimeHook] = []
    /// On the host, once the container is gone.
    public var poststop: [RuntimeHook] = []

    /// Reads the object, which may be absent.
    init(_ json: JSONReader) throws(SpecificationError) {
        if json.present == nil { return }
        let json = try json.object()
        prestart = try Self.list(json["prestart"])
        createRuntime = try Self.list(json["createRuntime"])
        createContainer = try Self.list(json["createContainer"])
        startContainer = try Self.list(json["startContainer"])
        poststart = try Self.list(json["poststart"])
        poststop = try Self.list(json["poststop"])
    }

    private static func list(_ json: JSONReader) throws(SpecificationError) -> [RuntimeHook] {
        var hooks: [RuntimeHook] = []
        for hook in try json.present?.array() ?? [] { hooks.append(try RuntimeHook(hook)) }
        return hooks
    }
}

/// One such program.
public struct RuntimeHook: Sendable {
    /// Where it is, absolute.
    public let path: String
    /// Its arguments, its own name the first; that is ``path`` where none are given.
    public let arguments: [String]
    /// Its environment, as `NAME=VALUE`, and nothing else is in it; nil for that of whoever runs it.
    public let environment: [String]?
    /// After how many seconds it is killed; nil for never.
    public let timeout: Int?

    init(_ json: JSONReader) throws(SpecificationError) {
        path = try json["path"].string()
        guard path.hasPrefix("/") else { throw json["path"].error("it has to be absolute") }
        let given = try json["args"].optionalStrings() ?? []
        arguments = given.isEmpty ? [path] : given
        environment = try json["env"].optionalStrings()
        timeout = try json["timeout"].present?.integer()
        if let timeout, timeout <= 0 { throw json["timeout"].error("it has to be more than 0") }
    }
}
