/// The part of a bundle's configuration that only Linux has. See runtime-spec, `config-linux.md`.
public struct RuntimeLinux: Sendable {
    /// The namespaces of its own, or of others by their paths.
    public var namespaces: [RuntimeNamespace] = []
    /// Which users of its user namespace are which of the host's.
    public var userMappings: [RuntimeIDMapping] = []
    /// Which groups of its user namespace are which of the host's.
    public var groupMappings: [RuntimeIDMapping] = []
    /// How far its clocks are from the host's: `monotonic` or `boottime`.
    public var timeOffsets: [(clock: String, seconds: Int, nanoseconds: Int)] = []
    /// Devices beside those that every container has.
    public var devices: [RuntimeDevice] = []
    /// Links of the host's that become its own: the host's name and, where it gets another, that.
    public var networkDevices: [(name: String, inside: String?)] = []
    /// Where in the hierarchies its cgroup is.
    public var controlGroupPath: String?
    /// What it may use of the machine.
    public var resources = RuntimeResources()
    /// Settings of the kernel, by name.
    public var kernelParameters: StringMap = [:]
    /// The filter on system calls, as it was written; nil for none.
    public var seccomp: JSON?
    /// Who answers for the filter's calls that somebody is to be asked about: a socket, and what
    /// is told there besides.
    public var seccompListener: (path: String, metadata: String)?
    /// `slave`, `private`, `shared` or `unbindable`.
    public var rootPropagation: String?
    /// What must not even be read.
    public var maskedPaths: [String] = []
    /// What may be read and not written.
    public var readOnlyPaths: [String] = []
    /// The SELinux label of its mounts.
    public var mountLabel: String?
    /// Shares of a processor's cache: not supported here, but not to be ignored either.
    public var hasCacheAllocation = false
    /// For what kind of machine its programs were made: `LINUX` or `LINUX32`.
    public var personality: (domain: String, flags: [String])?

    /// Nothing set.
    public init() {}

    /// Reads the object, which may be absent.
    init(_ json: JSONReader) throws(SpecificationError) {
        if json.present == nil { return }
        let json = try json.object()
        try readNamespaces(json)
        for place in try json["devices"].present?.array() ?? [] {
            devices.append(try RuntimeDevice(place))
        }
        for member in try json["netDevices"].names() {
            networkDevices.append((member, try json["netDevices"][member]["name"].nonEmpty()))
        }
        controlGroupPath = try json["cgroupsPath"].nonEmpty()
        if let place = json["resources"].present { resources = try RuntimeResources(place) }
        kernelParameters = try json["sysctl"].stringMap()
        try readSeccomp(json["seccomp"])
        rootPropagation = try json["rootfsPropagation"].nonEmpty()
        maskedPaths = try json["maskedPaths"].optionalStrings() ?? []
        readOnlyPaths = try json["readonlyPaths"].optionalStrings() ?? []
        mountLabel = try json["mountLabel"].nonEmpty()
        hasCacheAllocation = json["intelRdt"].present != nil
        if let place = json["personality"].present {
            personality = (
                try place["domain"].string(), try place["flags"].optionalStrings() ?? []
            )
        }
    }

    private mutating func readNamespaces(_ json: JSONReader) throws(SpecificationError) {
        for place in try json["namespaces"].present?.array() ?? [] {
            let namespace = try RuntimeNamespace(place)
            if namespaces.contains(where: { $0.kind == namespace.kind }) {
                throw place["type"].error("\(namespace.kind.rawValue) is there twice")
            }
            namespaces.append(namespace)
        }
        userMappings = try RuntimeIDMapping.list(json["uidMappings"])
        groupMappings = try RuntimeIDMapping.list(json["gidMappings"])
        for clock in try json["timeOffsets"].names() {
            let place = json["timeOffsets"][clock]
            timeOffsets.append(
                (
                    clock, try place["secs"].present?.integer() ?? 0,
                    try place["nanosecs"].present?.integer() ?? 0
                ))
        }
    }

    private mutating func readSeccomp(_ json: JSONReader) throws(SpecificationError) {
        guard let place = json.present else { return }
        seccomp = place.json
        if let path = try place["listenerPath"].nonEmpty() {
            seccompListener = (path, try place["listenerMetadata"].optionalString() ?? "")
        }
    }

    /// The namespace of this kind, where it is not the host's.
    public func namespace(_ kind: RuntimeNamespace.Kind) -> RuntimeNamespace? {
        namespaces.first { $0.kind == kind }
    }
}

/// A namespace of the container's. See runtime-spec, `config-linux.md`, "Namespaces".
public struct RuntimeNamespace: Sendable {
    /// The kinds, as the specification calls them.
    public enum Kind: String, Sendable, CaseIterable {
        /// Process numbers.
        case pid
        /// Links, addresses, routes.
        case network
        /// What is mounted where.
        case mount
        /// System V objects and message queues.
        case ipc
        /// Host and domain name.
        case uts
        /// Users and groups.
        case user
        /// Which cgroup is the top.
        case cgroup
        /// Clocks.
        case time
    }

    /// Which kind.
    public let kind: Kind
    /// The file of one that is there already; nil for a new one.
    public let path: String?

    init(_ json: JSONReader) throws(SpecificationError) {
        let name = try json["type"].string()
        guard let kind = Kind(rawValue: name) else {
            throw json["type"].error("there are no namespaces of type \(name)")
        }
        self.kind = kind
        path = try json["path"].nonEmpty()
        if let path, !path.hasPrefix("/") { throw json["path"].error("it has to be absolute") }
    }
}
