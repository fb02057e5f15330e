import Glibc
import Isolation
import Kernel
import OCISpec
import Terminal

// What a process gets, be it the container's own or one that is added (`exec`).

extension RuntimeProcess {
    /// How it is connected to the world.
    func sandboxed() throws(KernelError) -> SandboxedProcess {
        var process = SandboxedProcess(arguments, environment: environmentOnce)
        process.hasOwnSession = true
        process.hasTerminal = hasTerminal
        if let consoleSize {
            process.terminalSize = TerminalSize(
                rows: UInt16(clamping: consoleSize.rows),
                columns: UInt16(clamping: consoleSize.columns))
        }
        if let mask = user.mask { process.fileModeMask = mode_t(mask & 0o777) }
        return process
    }

    /// Each variable once, the last one, and a home that is somewhere: programs look for their
    /// files in it.
    private var environmentOnce: [String] {
        var list: [String] = []
        for (index, variable) in environment.enumerated() where variable != "HOME=" {
            let name = split(variable, at: "=")[0] + "="
            if environment[(index + 1)...].contains(where: { $0.hasPrefix(name) }) { continue }
            list.append(variable)
        }
        return list
    }

    /// What the kernel is told of it beside its privileges.
    func attributes(behind linux: RuntimeLinux) throws(KernelError) -> [any Mechanism] {
        var list: [any Mechanism] = []
        if let oomScoreAdjustment { list.append(OOMScore(oomScoreAdjustment)) }
        if let scheduler { list.append(try Scheduler(scheduler)) }
        if let ioPriority {
            list.append(try IOPriority(class: ioPriority.className, level: ioPriority.priority))
        }
        if let kind = linux.personality {
            list.append(try Personality(kind.domain, flags: kind.flags))
        }
        if let policy = linux.memoryPolicy { list.append(try MemoryPolicy(policy)) }
        return list
    }
}

extension ContainerPrivileges {
    /// What a process may do, and as whom.
    init(
        of process: RuntimeProcess, behind linux: RuntimeLinux, telling state: HookState
    ) throws(KernelError) {
        self.init()
        user = "\(process.user.user):\(process.user.group)"
        additionalGroups = process.user.additionalGroups.map { "\($0)" }
        // Engines give it files to write its log to.
        takesFiles = true
        capabilities = CommandCapabilities(process.capabilities)
        hasNoNewPrivileges = process.hasNoNewPrivileges
        appArmor = process.appArmorProfile == "unconfined" ? nil : process.appArmorProfile
        seLinuxLabel = process.seLinuxLabel
        for limit in process.limits {
            limits.append(
                try RequestedLimit(named: limit.type, soft: limit.soft, hard: limit.hard))
        }
        seccomp = linux.seccomp.map { .given($0) }
        guard let listener = linux.seccompListener else { return }
        supervision = CallSupervision(at: listener.path) { child in
            .object(present: [
                ("ociVersion", .string(Features.newestSpecification)),
                ("fds", .strings(["seccompFd"])), ("pid", .integer(Int(child.rawValue))),
                ("metadata", .string(listener.metadata)),
                ("state", state.json("creating", child)),
            ])
        }
    }
}

extension CommandCapabilities {
    /// What this kernel has of the names; a name that it does not know can give nothing.
    fileprivate init(_ names: RuntimeCapabilities?) {
        guard let names else {
            self.init([])
            return
        }
        var unknown: [String] = []
        self.init(Self.set(names.bounding, &unknown))
        permitted = Self.set(names.permitted, &unknown)
        inheritable = Self.granted(
            Self.set(names.inheritable, &unknown), of: bounding, "inheritable: it is not bounding")
        ambient = Self.granted(
            Self.set(names.ambient, &unknown), of: permitted.intersection(inheritable),
            "ambient: it is not permitted and inheritable")
    }

    /// What the kernel would grant of `set`. See runtime-spec, `config.md`, "Linux Process": what
    /// can't be granted is worth a warning and no more.
    private static func granted(
        _ set: CapabilitySet, of most: CapabilitySet, _ reason: String
    ) -> CapabilitySet {
        for number in set.subtracting(most).numbers {
            Program.warn(
                KernelError(
                    "capability", "\(CapabilitySet.name(of: number)) can't be \(reason)",
                    .notPermitted, remedy: "The process does without."))
        }
        return set.intersection(most)
    }

    /// - Parameter unknown: those that there has been a warning about.
    private static func set(_ names: [String], _ unknown: inout [String]) -> CapabilitySet {
        var set: CapabilitySet = []
        for name in names where !unknown.contains(name) {
            do { set.formUnion(try CapabilitySet(named: name)) } catch {
                Program.warn(error)
                unknown.append(name)
            }
        }
        return set
    }
}
