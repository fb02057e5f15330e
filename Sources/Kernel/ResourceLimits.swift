import CLinux
import Glibc

/// What of a resource one process may use. See `getrlimit(2)`.
public struct ResourceLimit: Equatable, Sendable {
    /// What the kernel enforces.
    public var soft: UInt64
    /// How far the process may raise ``soft`` itself.
    public var hard: UInt64
    /// No limit at all.
    public static let unlimited = UInt64.max

    /// A limit with its ceiling.
    public init(soft: UInt64, hard: UInt64) {
        self.soft = soft
        self.hard = hard
    }
}

/// The resources that a process's use of can be limited, by their name behind `RLIMIT_`.
public enum LimitedResource: Int32, CaseIterable, Sendable {
    // The kernel's numbers; see asm-generic/resource.h.
    case cpu = 0
    case fsize, data, stack, core, rss, nproc, nofile, memlock
    case `as`, locks, sigpending, msgqueue, nice, rtprio, rttime

    /// Such as `nofile`.
    public var name: String {
        switch self {
        case .cpu: "cpu"
        case .fsize: "fsize"
        case .data: "data"
        case .stack: "stack"
        case .core: "core"
        case .rss: "rss"
        case .nproc: "nproc"
        case .nofile: "nofile"
        case .memlock: "memlock"
        case .as: "as"
        case .locks: "locks"
        case .sigpending: "sigpending"
        case .msgqueue: "msgqueue"
        case .nice: "nice"
        case .rtprio: "rtprio"
        case .rttime: "rttime"
        }
    }
}

/// The limit that this process has.
public func resourceLimit(_ resource: LimitedResource) throws(KernelError) -> ResourceLimit {
    var limit = ResourceLimit(soft: 0, hard: 0)
    guard get_limit(resource.rawValue, &limit.soft, &limit.hard) == 0 else {
        throw KernelError("prlimit", resource.name, .current)
    }
    return limit
}

/// Limits this process and its children. See `prlimit(2)`.
public func setResourceLimit(
    _ resource: LimitedResource, _ limit: ResourceLimit, why: StaticString
) throws(KernelError) {
    try systemCall(
        "prlimit64",
        [
            .number(0), .symbol("RLIMIT_" + resource.name.uppercased()),
            .symbol("{rlim_cur=\(shown(limit.soft)), rlim_max=\(shown(limit.hard))}"), .null,
        ],
        on: resource.name, why: why
    ) { set_limit(resource.rawValue, limit.soft, limit.hard) }
}

private func shown(_ value: UInt64) -> String {
    value == ResourceLimit.unlimited ? "RLIM64_INFINITY" : "\(value)"
}
