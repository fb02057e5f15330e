/// What a container of an image runs, unless its user says otherwise.
///
/// This is the `config` of an image configuration. See image-spec, config.md, "Properties".
public struct ImageProcess: Equatable, Sendable {
    /// User and group, as names or numbers: `USER[:GROUP]`.
    public var user: String?
    /// Ports that it listens on, such as `80/tcp`, sorted.
    public var exposedPorts: [String] = []
    /// The environment, each entry `NAME=VALUE`.
    public var environment: [String] = []
    /// What is run, before the command; nil where it is not set.
    public var entrypoint: [String]?
    /// The command, or the arguments to ``entrypoint``; nil where it is not set.
    public var command: [String]?
    /// Directories that should be volumes, sorted.
    public var volumes: [String] = []
    /// Where it starts.
    public var workingDirectory: String?
    /// Notes for people and programs.
    public var labels: StringMap = [:]
    /// The signal that asks it to end, such as `SIGTERM`.
    public var stopSignal: String?

    /// Nothing set.
    public init() {}

    /// Reads the object, which may be absent.
    public init(_ json: JSONReader) throws(SpecificationError) {
        user = try json["User"].nonEmpty()
        exposedPorts = try json["ExposedPorts"].names().sorted()
        environment = try json["Env"].optionalStrings() ?? []
        entrypoint = try json["Entrypoint"].optionalStrings()
        command = try json["Cmd"].optionalStrings()
        volumes = try json["Volumes"].names().sorted()
        workingDirectory = try json["WorkingDir"].nonEmpty()
        labels = try json["Labels"].stringMap()
        stopSignal = try json["StopSignal"].nonEmpty()
    }

    /// The object as its specification writes it.
    public var json: JSON {
        .object(present: [
            ("User", user.map(JSON.string)), ("ExposedPorts", set(exposedPorts)),
            ("Env", environment.isEmpty ? nil : .strings(environment)),
            ("Entrypoint", entrypoint.map(JSON.strings)), ("Cmd", command.map(JSON.strings)),
            ("Volumes", set(volumes)), ("WorkingDir", workingDirectory.map(JSON.string)),
            ("Labels", labels.json), ("StopSignal", stopSignal.map(JSON.string)),
        ])
    }

    /// A set is written as an object of empty objects.
    private func set(_ names: [String]) -> JSON? {
        names.isEmpty ? nil : .object(names.sorted().map { JSON.Member($0, .object([])) })
    }
}
