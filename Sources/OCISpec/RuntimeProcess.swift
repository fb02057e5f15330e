/// The process of a container, or one that is added to it. See runtime-spec, `config.md`, "Process".
public struct RuntimeProcess: Sendable {
    /// Whether it gets a terminal.
    public var hasTerminal = false
    /// The terminal's size in lines and characters of a line; nil where it does not matter.
    public var consoleSize: (rows: Int, columns: Int)?
    /// Where it starts, absolute.
    public var workingDirectory = "/"
    /// Its environment, as `NAME=VALUE`.
    public var environment: [String] = []
    /// The command and its arguments.
    public var arguments: [String] = []
    /// Its user.
    public var user = RuntimeUser()
    /// Its capabilities; nil where nothing is said of them.
    public var capabilities: RuntimeCapabilities?
    /// Its limits, by the names of `getrlimit(2)`.
    public var limits: [(type: String, soft: UInt64, hard: UInt64)] = []
    /// Whether no program can give it more than it has.
    public var hasNoNewPrivileges = false
    /// Its AppArmor profile.
    public var appArmorProfile: String?
    /// Its SELinux label.
    public var seLinuxLabel: String?
    /// How soon it is killed where memory is short: -1000 to 1000.
    public var oomScoreAdjustment: Int?
    /// How it is scheduled.
    public var scheduler: RuntimeScheduler?
    /// Its class and level where a disk is short, such as `IOPRIO_CLASS_BE` and 4.
    public var ioPriority: (className: String, priority: Int)?
    /// On which CPUs a process that is added starts, and on which it goes on, as `0-3,7`.
    public var cpuAffinity: (initial: String?, final: String?)?

    /// Nothing set.
    public init() {}

    /// Reads the object.
    public init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        hasTerminal = try json["terminal"].present?.bool() ?? false
        if let size = json["consoleSize"].present {
            consoleSize = (try size["height"].integer(), try size["width"].integer())
        }
        workingDirectory = try json["cwd"].string()
        guard workingDirectory.hasPrefix("/") else {
            throw json["cwd"].error("it has to be absolute, not \"\(workingDirectory)\"")
        }
        environment = try json["env"].optionalStrings() ?? []
        for variable in environment where !variable.utf8.contains(UInt8(ascii: "=")) {
            throw json["env"].error("\(variable): missing '='")
        }
        arguments = try json["args"].optionalStrings() ?? []
        if let place = json["user"].present { user = try RuntimeUser(place) }
        capabilities = try json["capabilities"].present.map { place throws(SpecificationError) in
            try RuntimeCapabilities(place)
        }
        try readLimits(json["rlimits"])
        hasNoNewPrivileges = try json["noNewPrivileges"].present?.bool() ?? false
        appArmorProfile = try json["apparmorProfile"].nonEmpty()
        seLinuxLabel = try json["selinuxLabel"].nonEmpty()
        oomScoreAdjustment = try json["oomScoreAdj"].present?.integer()
        scheduler = try json["scheduler"].present.map { place throws(SpecificationError) in
            try RuntimeScheduler(place)
        }
        if let place = json["ioPriority"].present {
            ioPriority = (
                try place["class"].string(), try place["priority"].present?.integer() ?? 0
            )
        }
        if let place = json["execCPUAffinity"].present {
            cpuAffinity = (try place["initial"].nonEmpty(), try place["final"].nonEmpty())
        }
    }

    private mutating func readLimits(_ json: JSONReader) throws(SpecificationError) {
        for place in try json.present?.array() ?? [] {
            let type = try place["type"].string()
            if limits.contains(where: { $0.type == type }) {
                throw place["type"].error("\(type) is there twice")
            }
            // -1 is how some write the largest number, which stands for no limit.
            let soft = UInt64(bitPattern: Int64(try place["soft"].integer()))
            limits.append((type, soft, UInt64(bitPattern: Int64(try place["hard"].integer()))))
        }
    }
}

/// As whom a process runs. See runtime-spec, `config.md`, "User".
public struct RuntimeUser: Sendable {
    /// User id in the container.
    public var user: UInt32 = 0
    /// Group id in the container.
    public var group: UInt32 = 0
    /// More groups.
    public var additionalGroups: [UInt32] = []
    /// Its file mode creation mask.
    public var mask: UInt32?

    /// Root.
    public init() {}

    init(_ json: JSONReader) throws(SpecificationError) {
        user = try json["uid"].present?.unsigned() ?? 0
        group = try json["gid"].present?.unsigned() ?? 0
        for place in try json["additionalGids"].present?.array() ?? [] {
            additionalGroups.append(try place.unsigned())
        }
        mask = try json["umask"].present?.unsigned()
    }
}

/// The five sets of capabilities, by name. See runtime-spec, `config.md`, "Linux Process".
public struct RuntimeCapabilities: Sendable {
    /// The most that any program can ever have.
    public var bounding: [String]
    /// What it may use now.
    public var effective: [String]
    /// What it may take into use.
    public var permitted: [String]
    /// What executed files may ask to keep.
    public var inheritable: [String]
    /// What it keeps even where it is not root.
    public var ambient: [String]

    /// The same for the first three sets, and nothing in the others.
    public init(_ names: [String]) {
        bounding = names
        effective = names
        permitted = names
        inheritable = []
        ambient = []
    }

    init(_ json: JSONReader) throws(SpecificationError) {
        bounding = try json["bounding"].optionalStrings() ?? []
        effective = try json["effective"].optionalStrings() ?? []
        permitted = try json["permitted"].optionalStrings() ?? []
        inheritable = try json["inheritable"].optionalStrings() ?? []
        ambient = try json["ambient"].optionalStrings() ?? []
    }
}

/// How a process is scheduled. See `sched_setattr(2)`.
public struct RuntimeScheduler: Sendable {
    /// Such as `SCHED_OTHER`.
    public let policy: String
    /// -20 to 19.
    public let nice: Int
    /// For the real-time policies.
    public let priority: Int
    /// Such as `SCHED_FLAG_RESET_ON_FORK`.
    public let flags: [String]
    /// For `SCHED_DEADLINE`, in nanoseconds.
    public let runtime: Int
    /// For `SCHED_DEADLINE`, in nanoseconds.
    public let deadline: Int
    /// For `SCHED_DEADLINE`, in nanoseconds.
    public let period: Int

    init(_ json: JSONReader) throws(SpecificationError) {
        policy = try json["policy"].string()
        nice = try json["nice"].present?.integer() ?? 0
        priority = try json["priority"].present?.integer() ?? 0
        flags = try json["flags"].optionalStrings() ?? []
        runtime = try json["runtime"].present?.integer() ?? 0
        deadline = try json["deadline"].present?.integer() ?? 0
        period = try json["period"].present?.integer() ?? 0
    }
}

extension JSONReader {
    /// A number of 32 bits without a sign, as users and groups have.
    func unsigned() throws(SpecificationError) -> UInt32 {
        guard let number = UInt32(exactly: try integer()) else {
            throw error("it should be from 0 to \(UInt32.max)")
        }
        return number
    }
}
