/// How an image is run, and what its layers unpack to. See image-spec, config.md.
public struct ImageConfiguration: Equatable, Sendable {
    /// For which machine it is.
    public var platform: Platform
    /// When it was made.
    public var created: Timestamp?
    /// Who made it.
    public var author: String?
    /// What a container of it runs.
    public var process: ImageProcess
    /// The digest of each layer's uncompressed archive, the lowest first.
    public var diffIDs: [Digest]
    /// How each layer came to be.
    public var history: [ImageHistory]

    /// A configuration.
    public init(
        platform: Platform, created: Timestamp?, process: ImageProcess, diffIDs: [Digest],
        history: [ImageHistory] = []
    ) {
        self.platform = platform
        self.created = created
        self.process = process
        self.diffIDs = diffIDs
        self.history = history
    }

    /// Reads a configuration.
    public init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        platform = try Platform(json)
        created = try Timestamp(json["created"])
        author = try json["author"].optionalString()
        process = try ImageProcess(json["config"])
        diffIDs = []
        for element in try json["rootfs"].object()["diff_ids"].present?.array() ?? [] {
            diffIDs.append(try element.digest())
        }
        history = []
        for element in try json["history"].present?.array() ?? [] {
            history.append(try ImageHistory(element))
        }
    }

    /// The configuration as its specification writes it.
    public var json: JSON {
        .object(present: [
            ("created", created.map { .string($0.description) }),
            ("author", author.map(JSON.string)),
            ("architecture", .string(platform.architecture)), ("os", .string(platform.os)),
            ("variant", platform.variant.map(JSON.string)), ("config", process.json),
            (
                "rootfs",
                ["type": "layers", "diff_ids": .strings(diffIDs.map(\.description))]
            ),
            ("history", history.isEmpty ? nil : .array(history.map(\.json))),
        ])
    }
}
