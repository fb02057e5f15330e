/// One entry of a bundle's `mounts`. See runtime-spec, config.md, "Mounts".
public struct RuntimeMount: Equatable, Sendable {
    /// The path in the container.
    public var destination: String
    /// The kind of file system; means nothing for a bind mount.
    public var type: String
    /// A device, a name, or for a bind mount a path of the host's.
    public var source: String
    /// How it is to be mounted, as mount(8) writes it.
    public var options: [String]
    /// Which users of the source's are which of the container's.
    public var uidMappings: [RuntimeIDMapping]
    /// Which groups of the source's are which of the container's.
    public var gidMappings: [RuntimeIDMapping]

    /// A mount without mappings.
    public init(_ destination: String, type: String, source: String, _ options: [String]) {
        self.destination = destination
        self.type = type
        self.source = source
        self.options = options
        uidMappings = []
        gidMappings = []
    }

    /// Reads the object.
    /// - Throws: what is wrong with it, and where.
    public init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        destination = try json["destination"].string()
        if destination.isEmpty { throw json["destination"].error("it is empty") }
        type = try json["type"].optionalString() ?? ""
        source = try json["source"].optionalString() ?? ""
        options = try json["options"].optionalStrings() ?? []
        uidMappings = try RuntimeIDMapping.list(json["uidMappings"])
        gidMappings = try RuntimeIDMapping.list(json["gidMappings"])
        guard uidMappings.isEmpty == gidMappings.isEmpty else {
            throw json.error("uidMappings and gidMappings go together")
        }
    }
}

/// A line of a user namespace's map. See runtime-spec, config-linux.md, "User namespace mappings".
public struct RuntimeIDMapping: Equatable, Sendable {
    /// The first id inside.
    public var containerID: UInt32
    /// The first id outside.
    public var hostID: UInt32
    /// How many ids follow one another.
    public var size: UInt32

    /// So many ids from these two on.
    public init(containerID: UInt32, hostID: UInt32, size: UInt32) {
        self.containerID = containerID
        self.hostID = hostID
        self.size = size
    }

    /// Reads the object.
    /// - Throws: what is wrong with it, and where.
    public init(_ json: JSONReader) throws(SpecificationError) {
        containerID = try json["containerID"].unsigned()
        hostID = try json["hostID"].unsigned()
        size = try json["size"].unsigned()
    }

    /// Reads an array of them, which may be absent.
    /// - Throws: what is wrong with it, and where.
    public static func list(_ json: JSONReader) throws(SpecificationError) -> [RuntimeIDMapping] {
        var mappings: [RuntimeIDMapping] = []
        for entry in try json.present?.array() ?? [] {
            mappings.append(try RuntimeIDMapping(entry))
        }
        return mappings
    }
}

/// A device node of the container's. See runtime-spec, config-linux.md, "Devices".
public struct RuntimeDevice: Equatable, Sendable {
    /// What a node can be.
    public enum Kind: String, Sendable {
        /// A character device.
        case character = "c"
        /// The same, from a time when it made a difference.
        case unbuffered = "u"
        /// A block device.
        case block = "b"
        /// A pipe with a name.
        case pipe = "p"
    }

    /// The path in the container.
    public var path: String
    /// What it is.
    public var kind: Kind
    /// Which driver.
    public var major: UInt32
    /// Which of the driver's devices.
    public var minor: UInt32
    /// Who may open it.
    public var fileMode: UInt32
    /// The owner, as an id of the container's.
    public var uid: UInt32
    /// The group, as an id of the container's.
    public var gid: UInt32

    /// A character device that everybody may use.
    public init(_ path: String, major: UInt32, minor: UInt32) {
        self.path = path
        kind = .character
        self.major = major
        self.minor = minor
        fileMode = 0o666
        uid = 0
        gid = 0
    }

    /// Reads the object.
    /// - Throws: what is wrong with it, and where.
    public init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        path = try json["path"].string()
        if path.isEmpty { throw json["path"].error("it is empty") }
        let letter = try json["type"].string()
        guard let kind = Kind(rawValue: letter) else {
            throw json["type"].error("there is no type \(letter) of device")
        }
        self.kind = kind
        major = try kind == .pipe ? 0 : json["major"].unsigned()
        minor = try kind == .pipe ? 0 : json["minor"].unsigned()
        fileMode = try json["fileMode"].present?.unsigned() ?? 0o666
        uid = try json["uid"].present?.unsigned() ?? 0
        gid = try json["gid"].present?.unsigned() ?? 0
    }
}
