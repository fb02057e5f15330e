import CLinux
import Glibc
import Kernel
import OCISpec

// What a bundle says of its process beside its privileges: a mechanism each, all of them small.

/// How soon the process is killed where memory is short. See `proc_pid_oom_score_adj(5)`.
public struct OOMScore: Mechanism {
    /// As the narrator calls it.
    public let name = "oom score"
    private let adjustment: Int

    /// - Parameter adjustment: -1000, which is never, to 1000, which is first.
    public init(_ adjustment: Int) { self.adjustment = adjustment }

    /// From outside: in the sandbox there may be no /proc, or one of the image's making.
    public mutating func adopt(_ child: ProcessID) throws(KernelError) {
        let path = "/proc/\(child.rawValue)/oom_score_adj"
        // Less than it is takes CAP_SYS_RESOURCE; as much as it is takes nothing.
        if let there = readControl(path), Int(there) == adjustment { return }
        do {
            try tellKernel("\(adjustment)", in: path, why: "how soon it goes if memory is short")
        } catch {
            // Who is not the machine's root may not lower it, and is not to fail for that.
            guard error.errno == .accessDenied, !isMachinesRoot else {
                throw error.renamed("oomScoreAdj", "\(adjustment)").advising(
                    "It is -1000 to 1000; less than our own takes CAP_SYS_RESOURCE.")
            }
        }
    }
}

/// How the process is scheduled. See `sched(7)`.
public struct Scheduler: Mechanism {
    /// As the narrator calls it.
    public let name = "scheduler"
    private let scheduling: Scheduling

    private static let policies = [
        "SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE",
        "SCHED_DEADLINE",
    ]
    private static let flags: [(String, UInt64)] = [
        ("SCHED_FLAG_RESET_ON_FORK", 0x01), ("SCHED_FLAG_RECLAIM", 0x02),
        ("SCHED_FLAG_DL_OVERRUN", 0x04), ("SCHED_FLAG_KEEP_POLICY", 0x08),
        ("SCHED_FLAG_KEEP_PARAMS", 0x10), ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
        ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
    ]

    /// - Throws: `EINVAL` for a policy or a flag that there is not.
    public init(_ wanted: RuntimeScheduler) throws(KernelError) {
        guard let policy = Self.policies.firstIndex(of: wanted.policy) else {
            throw Self.unknown(wanted.policy)
        }
        var scheduling = Scheduling(policy: UInt32(policy))
        for word in wanted.flags {
            guard let flag = Self.flags.first(where: { $0.0 == word }) else {
                throw Self.unknown(word)
            }
            scheduling.flags |= flag.1
        }
        scheduling.nice = Int32(clamping: wanted.nice)
        scheduling.priority = UInt32(clamping: wanted.priority)
        scheduling.runtime = UInt64(bitPattern: Int64(wanted.runtime))
        scheduling.deadline = UInt64(bitPattern: Int64(wanted.deadline))
        scheduling.period = UInt64(bitPattern: Int64(wanted.period))
        self.scheduling = scheduling
    }

    private static func unknown(_ word: String) -> KernelError {
        KernelError("scheduler", word, .invalidArgument, remedy: "`sched(7)` lists what there is.")
    }

    /// While the right to it is there.
    public func enter() throws(KernelError) {
        do {
            try setScheduling(scheduling, why: "how the processors are shared out to it")
        } catch {
            throw error.advising(
                "The kernel takes this policy with other values, or from root only; see sched(7).")
        }
    }
}

/// The process's share where a disk is short. See `ioprio_set(2)`.
public struct IOPriority: Mechanism {
    /// As the narrator calls it.
    public let name = "i/o priority"
    private let number: CInt
    private let level: CInt

    private static let classes = [
        "IOPRIO_CLASS_NONE", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE",
    ]

    /// - Throws: `EINVAL` for a class that there is not.
    public init(class name: String, level: Int) throws(KernelError) {
        guard let number = Self.classes.firstIndex(of: name), (0...7).contains(level) else {
            throw KernelError(
                "ioPriority", "\(name) \(level)", .invalidArgument,
                remedy: "The classes are \(join(Self.classes, with: ", ")), the levels 0 to 7.")
        }
        self.number = CInt(number)
        self.level = CInt(level)
    }

    /// While the right to it is there.
    public func enter() throws(KernelError) {
        try setIOPriority(class: number, level: level, why: "its turn where the disk is short")
    }
}

/// Which of the machine's memory the process gets, where some is nearer than other. See
/// `set_mempolicy(2)` and runtime-spec, `config-linux.md`, "Memory policy".
public struct MemoryPolicy: Mechanism {
    /// As the narrator calls it.
    public let name = "memory policy"
    private let mode: CInt
    private let nodes: String
    private let text: String

    /// The kernel's numbers are their places.
    public static let modes = [
        "MPOL_DEFAULT", "MPOL_PREFERRED", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_LOCAL",
        "MPOL_PREFERRED_MANY", "MPOL_WEIGHTED_INTERLEAVE",
    ]
    /// The kernel's bits begin at the fourteenth.
    public static let flags = [
        "MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES",
    ]

    /// - Throws: `EINVAL` for a mode or a flag that there is not.
    public init(_ wanted: RuntimeMemoryPolicy) throws(KernelError) {
        guard let number = Self.modes.firstIndex(of: wanted.mode) else {
            throw Self.unknown(wanted.mode)
        }
        var mode = number
        for flag in wanted.flags {
            guard let bit = Self.flags.firstIndex(of: flag) else { throw Self.unknown(flag) }
            mode |= 1 << (13 + bit)
        }
        self.mode = CInt(mode)
        nodes = wanted.nodes
        text = join([wanted.mode] + wanted.flags + (nodes.isEmpty ? [] : [nodes]), with: " ")
    }

    private static func unknown(_ word: String) -> KernelError {
        KernelError(
            "memoryPolicy", word, .invalidArgument,
            remedy: "`hull-runtime features` lists the modes and flags that there are.")
    }

    /// It survives `execve(2)`. While no filter forbids it.
    public func enter() throws(KernelError) {
        do {
            try setMemoryPolicy(mode, nodes, why: "which memory is taken first")
        } catch {
            throw error.renamed("memoryPolicy", text).advising(
                "The mode may want nodes, or none, or this machine lacks some; see"
                    + " set_mempolicy(2).")
        }
    }
}

/// For what kind of machine the process believes to run. See `personality(2)`.
public struct Personality: Mechanism {
    /// As the narrator calls it.
    public let name = "personality"
    private let persona: UInt

    /// - Parameter domain: `LINUX` or `LINUX32`.
    /// - Throws: `EINVAL` for any other, and for flags, of which there are none.
    public init(_ domain: String, flags: [String]) throws(KernelError) {
        guard flags.isEmpty, domain == "LINUX" || domain == "LINUX32" else {
            throw KernelError(
                "personality", join([domain] + flags, with: " "), .invalidArgument,
                remedy: "It is LINUX or LINUX32, without flags.")
        }
        // PER_LINUX and PER_LINUX32.
        persona = domain == "LINUX" ? 0 : 8
    }

    /// It survives `execve(2)`.
    public func enter() throws(KernelError) {
        try setPersonality(persona, why: "what uname -m says it runs on")
    }
}

/// The CPUs that a process runs on: not those that its maker happens to be kept on, as a daemon
/// may be, but all of its cgroup, or those that it is given. See `sched_setaffinity(2)`.
public struct Affinity: Mechanism {
    /// As the narrator calls it.
    public let name = "cpu affinity"
    private let wanted: (initial: String?, final: String?)?

    /// - Parameter wanted: where it runs until it is in the sandbox's cgroup, and from then on.
    public init(_ wanted: (initial: String?, final: String?)? = nil) { self.wanted = wanted }

    /// The child begins with what its maker has.
    public mutating func prepare() throws(KernelError) {
        guard let initial = wanted?.initial else { return }
        try setAffinity(initial, why: "where it runs until it has moved in")
    }

    /// In its cgroup.
    public func enter() throws(KernelError) {
        guard let wanted else {
            return try resetAffinity(why: "where its maker is kept does not count for it")
        }
        if let final = wanted.final { try setAffinity(final, why: "where it goes on") }
    }
}

/// A NIS domain name of its own. See `uts_namespaces(7)`.
public struct DomainName: Mechanism {
    /// As the narrator calls it.
    public let name = "domain name"
    /// Nothing of it is the host's to do.
    public let entersEarly = true
    private let domain: String

    /// Sets it to `domain`.
    public init(_ domain: String) { self.domain = domain }

    /// In the UTS namespace that is the sandbox's.
    public func enter() throws(KernelError) {
        try setDomainName(domain, why: "this name is the sandbox's alone")
    }
}

/// New namespaces that need nothing but to be there.
public struct NewNamespaces: Mechanism {
    /// As the narrator calls it.
    public let name = "namespaces"
    /// These.
    public let namespaces: Namespaces
    /// Nothing of it is the host's to do.
    public let entersEarly = true

    /// Has the sandbox be born in new ones of these kinds.
    public init(_ namespaces: Namespaces) { self.namespaces = namespaces }
}
