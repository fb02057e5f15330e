/// Which system calls a container may make, as profiles are written.
///
/// Read in the form of runtime-spec, config-linux.md, "Seccomp", and in Docker's, which adds
/// conditions: rules that count only with a certain capability, architecture or kernel.
public struct SeccompProfile: Equatable, Sendable {
    /// What happens to a call that no rule speaks of.
    public var defaultAction: SeccompAction
    /// The architectures whose calls are let in at all, such as `SCMP_ARCH_X86_64`.
    public var architectures: [String]
    /// Docker's form of the same: to a machine's own architecture, the others that it runs.
    public var architectureMap: [(architecture: String, others: [String])]
    /// Flags for `seccomp(2)`, such as `SECCOMP_FILTER_FLAG_LOG`.
    public var flags: [String]
    /// The rules.
    public var rules: [SeccompRule]

    /// Reads the object.
    /// - Throws: what is wrong with it, and where.
    public init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        defaultAction = try SeccompAction(
            json["defaultAction"], errno: json["defaultErrnoRet"])
        architectures = try json["architectures"].optionalStrings() ?? []
        architectureMap = []
        for entry in try json["archMap"].present?.array() ?? [] {
            architectureMap.append(
                (
                    try entry["architecture"].string(),
                    try entry["subArchitectures"].optionalStrings() ?? []
                ))
        }
        flags = try json["flags"].optionalStrings() ?? []
        rules = []
        for entry in try json["syscalls"].present?.array() ?? [] {
            rules.append(try SeccompRule(entry))
        }
    }

    /// Whether two profiles say the same.
    public static func == (one: SeccompProfile, other: SeccompProfile) -> Bool {
        one.defaultAction == other.defaultAction && one.architectures == other.architectures
            && one.flags == other.flags && one.rules == other.rules
            && one.architectureMap.elementsEqual(
                other.architectureMap,
                by: { $0.architecture == $1.architecture && $0.others == $1.others })
    }
}

/// What the kernel does with a call. See `seccomp(2)`.
public enum SeccompAction: Equatable, Sendable {
    /// Kills the thread that makes it.
    case killThread
    /// Kills the process that makes it.
    case killProcess
    /// Sends the process `SIGSYS`.
    case trap
    /// Does not do it and returns this errno.
    case errno(UInt16)
    /// Asks a tracer, with this message.
    case trace(UInt16)
    /// Asks whoever holds the filter's listener.
    case notify
    /// Does it and logs it.
    case log
    /// Does it.
    case allow

    /// All of them, as profiles write them.
    public static let names = [
        "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE",
        "SCMP_ACT_TRAP",
    ]

    /// Reads an action, and the errno that may stand beside it; 1 is `EPERM`.
    init(_ json: JSONReader, errno: JSONReader) throws(SpecificationError) {
        let number = try errno.present?.integer() ?? 1
        guard let number = UInt16(exactly: number) else {
            throw errno.error("it should be from 0 to 65535")
        }
        switch try json.string() {
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": self = .killThread
        case "SCMP_ACT_KILL_PROCESS": self = .killProcess
        case "SCMP_ACT_TRAP": self = .trap
        case "SCMP_ACT_ERRNO": self = .errno(number)
        case "SCMP_ACT_TRACE": self = .trace(number)
        case "SCMP_ACT_NOTIFY": self = .notify
        case "SCMP_ACT_LOG": self = .log
        case "SCMP_ACT_ALLOW": self = .allow
        case let name: throw json.error("there is no action \(name)")
        }
    }
}

/// What a profile says about some calls.
public struct SeccompRule: Equatable, Sendable {
    /// The calls, by name.
    public var names: [String]
    /// What happens to them.
    public var action: SeccompAction
    /// What their arguments have to be for that.
    public var arguments: [SeccompArgument]
    /// When the rule counts: all of it has to hold.
    public var includes: SeccompCondition
    /// When it does not: any of it is enough.
    public var excludes: SeccompCondition

    /// A rule that always counts.
    public init(_ names: [String], _ action: SeccompAction) {
        self.names = names
        self.action = action
        arguments = []
        includes = SeccompCondition()
        excludes = SeccompCondition()
    }

    init(_ json: JSONReader) throws(SpecificationError) {
        // Docker's older form has one name.
        if let name = try json["name"].optionalString() {
            names = [name]
        } else {
            names = try json["names"].strings()
        }
        action = try SeccompAction(json["action"], errno: json["errnoRet"])
        arguments = []
        for entry in try json["args"].present?.array() ?? [] {
            arguments.append(try SeccompArgument(entry))
        }
        includes = try SeccompCondition(json["includes"])
        excludes = try SeccompCondition(json["excludes"])
    }
}

/// A comparison with one argument of a call.
public struct SeccompArgument: Equatable, Sendable {
    /// How they are compared.
    public enum Comparison: String, Sendable, CaseIterable {
        case notEqual = "SCMP_CMP_NE"
        case less = "SCMP_CMP_LT"
        case lessOrEqual = "SCMP_CMP_LE"
        case equal = "SCMP_CMP_EQ"
        case greaterOrEqual = "SCMP_CMP_GE"
        case greater = "SCMP_CMP_GT"
        /// The argument and ``SeccompArgument/value`` equals ``SeccompArgument/second``.
        case maskedEqual = "SCMP_CMP_MASKED_EQ"
    }

    /// Which argument, from 0 to 5.
    public var index: UInt32
    /// What it is compared with, or the mask.
    public var value: UInt64
    /// What a masked argument is compared with.
    public var second: UInt64
    /// How.
    public var comparison: Comparison

    init(_ json: JSONReader) throws(SpecificationError) {
        let number = try json["index"].integer()
        guard (0...5).contains(number) else { throw json["index"].error("it should be 0 to 5") }
        index = UInt32(number)
        value = UInt64(bitPattern: Int64(try json["value"].integer()))
        second = UInt64(bitPattern: Int64(try json["valueTwo"].present?.integer() ?? 0))
        let name = try json["op"].string()
        guard let comparison = Comparison(rawValue: name) else {
            throw json["op"].error("there is no comparison \(name)")
        }
        self.comparison = comparison
    }
}

/// Docker's conditions for a rule.
public struct SeccompCondition: Equatable, Sendable {
    /// Capabilities of the container, such as `CAP_SYS_ADMIN`.
    public var capabilities: [String] = []
    /// Architectures, as Go calls them, such as `amd64`.
    public var architectures: [String] = []
    /// The oldest kernel, as major and minor number.
    public var minimumKernel: (major: Int, minor: Int)?

    /// No condition.
    public init() {}

    init(_ json: JSONReader) throws(SpecificationError) {
        capabilities = try json["caps"].optionalStrings() ?? []
        architectures = try json["arches"].optionalStrings() ?? []
        guard let version = try json["minKernel"].optionalString() else { return }
        let parts = version.split(separator: ".").map { Int($0) }
        guard parts.count >= 2, let major = parts[0], let minor = parts[1] else {
            throw json["minKernel"].error("\(version) is no version of a kernel")
        }
        minimumKernel = (major, minor)
    }

    /// Whether two conditions say the same.
    public static func == (one: SeccompCondition, other: SeccompCondition) -> Bool {
        one.capabilities == other.capabilities && one.architectures == other.architectures
            && one.minimumKernel?.major == other.minimumKernel?.major
            && one.minimumKernel?.minor == other.minimumKernel?.minor
    }
}
