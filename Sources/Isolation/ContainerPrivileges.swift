import Kernel
import Terminal

/// What a container's command may do, and as whom.
public struct ContainerPrivileges: Sendable {
    /// `USER[:GROUP]`, names or numbers; root where nil.
    public var user: String?
    /// More groups, by name or number.
    public var additionalGroups: [String] = []
    /// Whether files that it has for input or output become the user's.
    public var takesFiles = false
    /// The five sets.
    public var capabilities = CommandCapabilities(.dockerDefault)
    /// Whether all that is denied by default is granted.
    public var isPrivileged = false
    /// Whether programs can give no more than the command started with.
    public var hasNoNewPrivileges = false
    /// The filter on system calls; nil for none.
    public var seccomp: SeccompFilter.Profile? = .standard
    /// Who answers for calls that the filter has somebody asked about.
    public var supervision: CallSupervision?
    /// Whether the command has no keys but its own.
    public var hasOwnKeyring = true
    /// Below which directory of the sandbox the owner makes directories for it; nil for nowhere.
    public var supervisedDirectory: String?
    /// What of the file system may be used at all; all of it where there are no rules.
    public var landlock: [Landlock.Rule] = []
    /// The AppArmor profile of the command; nil for none.
    public var appArmor: String?
    /// The SELinux label of the command and its files; nil for none.
    public var seLinux: SELinuxLabel.Parts?
    /// The same as one word, where somebody else has put it together.
    public var seLinuxLabel: String?
    /// Limits of each process.
    public var limits: [RequestedLimit] = []

    /// Docker's defaults.
    public init() {}

    // book: begin privileges-list
    /// What takes the privileges away, in the only order that works.
    ///
    /// - Parameter state: where compiled filters are kept.
    public func mechanisms(
        in state: StateDirectories = StateDirectories()
    ) throws(KernelError) -> [any Mechanism] {
        var list: [any Mechanism] = hasOwnKeyring ? [SessionKeyring()] : []
        // May need CAP_SYS_RESOURCE.
        if !limits.isEmpty { list.append(ProcessLimits(limits)) }
        // Needs CAP_SETPCAP.
        list.append(BoundingSet(keeping: capabilities.bounding))
        let filter = seccomp.map {
            SeccompFilter(
                $0, for: capabilities.bounding, needing: callsBehindFilter,
                cachedIn: state.seccompFilters, supervisedBy: supervision)
        }
        // Write to /proc, which a filter or Landlock may forbid. They count from execve on.
        if let appArmor { list.append(AppArmorProfile(appArmor)) }
        if let label = seLinuxLabel ?? seLinux?.process { list.append(SELinuxLabel(label)) }
        var walls: [any Mechanism] = landlock.isEmpty ? [] : [Landlock(landlock)]
        if let filter { walls.append(filter) }
        // The answers of a second filter count only where the first lets the call pass.
        if let supervisedDirectory { walls.append(SupervisedCalls(below: supervisedDirectory)) }
        // To put up a wall takes CAP_SYS_ADMIN, or the promise that no program can gain anything
        // by running behind a strange one. Without the promise it has to be now, and what is
        // still to be done has to be allowed.
        if !hasNoNewPrivileges { list += walls }
        // Needs CAP_SETGID and CAP_SETUID.
        list.append(
            UserIdentity(
                user ?? "0", additionalGroups: additionalGroups, takesFiles: takesFiles))
        // Takes what was needed until here.
        list.append(Capabilities(capabilities))
        if hasNoNewPrivileges {
            list.append(NoNewPrivileges())
            // With the promise they come last, and need not allow any of the above.
            list += walls
        }
        return list
    }
    // book: end privileges-list

    private var callsBehindFilter: [String] {
        let always = ["execve", "exit_group"]
        let watched = supervisedDirectory == nil ? [] : ["seccomp", "sendmsg"]
        if hasNoNewPrivileges { return always + watched }
        return always + watched + [
            "setresgid", "setresuid", "prctl", "capget", "capset",
        ]
    }

    /// `process` without what the owner's environment says about the owner's home.
    public func process(_ process: SandboxedProcess) -> SandboxedProcess {
        var process = process
        if user != nil { process.environment.removeAll { $0.hasPrefix("HOME=") } }
        return process
    }
}

extension ContainerPrivileges {
    /// The options that ``init(_:)`` understands.
    public static let options = [
        Option("user", "u", .required("USER[:GROUP]"), "Run as this user of the image."),
        Option("group-add", nil, .required("GROUP"), "Add a group; repeatable."),
        Option("cap-add", nil, .required("CAP"), "Add a capability, or ALL; repeatable."),
        Option("cap-drop", nil, .required("CAP"), "Drop a capability, or ALL; repeatable."),
        Option(
            "cap-ambient", nil, .required("CAP"),
            "Add a capability that a user other than root has too; repeatable."),
        Option("privileged", nil, .none, "Take nothing away: as powerful as root on the host."),
        Option(
            "ulimit", nil, .required("NAME=SOFT[:HARD]"),
            "Limit each process, such as nofile=1024:2048; repeatable."),
        Option(
            "security-opt", nil, .required("OPTION"),
            "no-new-privileges, seccomp=, apparmor=, label= or notify=mkdir; see below."),
        Option(
            "landlock", nil, .required("ro=PATH,rw=PATH…"),
            "Nothing but these paths can be used, and those with ro= only be read."),
    ]

    /// What `--help` says besides.
    public static let notes = """
        --security-opt takes no-new-privileges; seccomp=FILE, a profile in Docker's form, or
        seccomp=unconfined; apparmor=PROFILE, one that is loaded; label=type:TYPE and the like,
        for SELinux; notify=mkdir[:DIR], to have the owner make directories below DIR.
        """

    /// What the options ask for.
    /// - Throws: `EINVAL` for a name that there is not.
    public init(_ arguments: Arguments) throws(KernelError) {
        self.init()
        user = arguments.value("user")
        additionalGroups = arguments.values("group-add")
        isPrivileged = arguments.has("privileged")
        if isPrivileged { seccomp = nil }
        capabilities = try Self.capabilities(arguments)
        for text in arguments.values("ulimit") { limits.append(try RequestedLimit(parsing: text)) }
        for text in arguments.values("security-opt") { try apply(text) }
        for text in arguments.values("landlock") {
            landlock += try Landlock.Rule.list(parsing: text)
        }
    }

    /// As Docker: what is dropped goes first, so that `--cap-drop ALL --cap-add X` leaves X.
    private static func capabilities(
        _ arguments: Arguments
    ) throws(KernelError) -> CommandCapabilities {
        var set: CapabilitySet = arguments.has("privileged") ? .all : .dockerDefault
        var added: CapabilitySet = []
        for name in arguments.values("cap-add") { added.formUnion(try CapabilitySet(named: name)) }
        for name in arguments.values("cap-drop") {
            let dropped = try CapabilitySet(named: name)
            set.subtract(dropped)
            // Added ALL but one.
            if dropped != .all { added.subtract(dropped) }
        }
        var ambient: CapabilitySet = []
        for name in arguments.values("cap-ambient") {
            ambient.formUnion(try CapabilitySet(named: name))
        }
        var sets = CommandCapabilities(set.union(added).union(ambient))
        sets.ambient = ambient
        return sets
    }

    private mutating func apply(_ text: String) throws(KernelError) {
        let name = split(text, at: "=")[0]
        let value = text == name ? nil : String(text.dropFirst(name.count + 1))
        switch (name, value) {
        case ("no-new-privileges", nil), ("no-new-privileges", "true"): hasNoNewPrivileges = true
        case ("no-new-privileges", "false"): hasNoNewPrivileges = false
        case ("seccomp", "unconfined"): seccomp = nil
        case ("seccomp", "default"): seccomp = .standard
        case ("seccomp", let path?) where !path.isEmpty: seccomp = .file(path)
        case ("apparmor", "unconfined"): appArmor = nil
        case ("apparmor", let profile?) where Self.isName(profile): appArmor = profile
        case ("label", "disable"): seLinux = nil
        case ("label", let part?):
            var label = seLinux ?? SELinuxLabel.Parts()
            try label.apply(part)
            seLinux = label
        case ("notify", "mkdir"): supervisedDirectory = "/"
        case ("notify", let call?) where call.hasPrefix("mkdir:/"):
            supervisedDirectory = String(call.dropFirst(6))
        default:
            throw KernelError(
                "security option", text.isEmpty ? "\"\"" : text, .invalidArgument,
                remedy: "There are no-new-privileges, seccomp=FILE|unconfined, apparmor=PROFILE,"
                    + " label=type:TYPE and notify=mkdir[:DIR].")
        }
    }

    /// A profile's name: one word.
    private static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 > 32 && $0 < 127 }
    }
}
