import Glibc
import Isolation
import Kernel
import OCISpec
import Terminal

// What a process gets, be it the container's own or one that is added (`exec`).

extension RuntimeProcess {
    /// How it is connected to the world.
    func sandboxed() throws(KernelError) -> SandboxedProcess {
        var process = SandboxedProcess(arguments, environment: environment)
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
        inheritable = Self.set(names.inheritable, &unknown)
        ambient = Self.set(names.ambient, &unknown)
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
