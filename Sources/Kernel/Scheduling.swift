import CLinux

/// How the kernel shares the processors out to this process. See `sched(7)`, `sched_setattr(2)`.
public struct Scheduling: Equatable, Sendable {
    /// The kernel's number of the policy, such as 0 for `SCHED_OTHER`.
    public var policy: UInt32
    /// The kernel's bits, such as 1 for `SCHED_FLAG_RESET_ON_FORK`.
    public var flags: UInt64 = 0
    /// -20 to 19, the politest.
    public var nice: Int32 = 0
    /// 1 to 99, for the real-time policies.
    public var priority: UInt32 = 0
    /// Nanoseconds of each period, for `SCHED_DEADLINE`; and within which it gets them.
    public var runtime: UInt64 = 0
    /// See ``runtime``.
    public var deadline: UInt64 = 0
    /// See ``runtime``.
    public var period: UInt64 = 0

    /// A policy, and nothing else.
    public init(policy: UInt32) { self.policy = policy }
}

/// Chooses how this process is scheduled. See `sched_setattr(2)`.
public func setScheduling(_ wanted: Scheduling, why: StaticString) throws(KernelError) {
    try systemCall(
        "sched_setattr",
        [
            .number(0),
            .symbol(
                "{sched_policy=\(wanted.policy), sched_nice=\(wanted.nice),"
                    + " sched_priority=\(wanted.priority)}"), .number(0),
        ],
        on: "policy \(wanted.policy)", why: why
    ) {
        set_scheduling(
            wanted.policy, wanted.flags, wanted.nice, wanted.priority, wanted.runtime,
            wanted.deadline, wanted.period)
    }
}

/// Chooses this process's class and level where a disk is short. See `ioprio_set(2)`.
public func setIOPriority(
    class number: CInt, level: CInt, why: StaticString
) throws(KernelError) {
    try systemCall(
        "ioprio_set",
        [.symbol("IOPRIO_WHO_PROCESS"), .number(0), .symbol("class \(number), level \(level)")],
        on: "class \(number), level \(level)", why: why
    ) { set_io_priority(number, level) }
}

/// Has the kernel treat this process as one for another kind of machine. See `personality(2)`.
public func setPersonality(_ persona: UInt, why: StaticString) throws(KernelError) {
    try systemCall(
        "personality", [.symbol("0x" + String(persona, radix: 16))], on: "\(persona)", why: why
    ) { set_personality(persona) }
}

/// Chooses the CPUs that this process may run on. See `sched_setaffinity(2)`.
///
/// - Parameter cpus: a list such as `0-3,7`.
/// - Throws: `EINVAL` where it is no such list, or has none of the CPUs that there are.
public func setAffinity(_ cpus: String, why: StaticString) throws(KernelError) {
    let bits = try bits(listed: cpus, "CPU affinity")
    try systemCall(
        "sched_setaffinity", [.number(0), .number(bits.count), .symbol("[\(cpus)]")], on: cpus,
        why: why
    ) { set_affinity(bits, bits.count) }
}

/// Lets this process run on all CPUs that its cgroup has. See `sched_setaffinity(2)`.
public func resetAffinity(why: StaticString) throws(KernelError) {
    // A bit for each CPU that a kernel can be built for: what is not there does not count.
    let bits = [UInt8](repeating: 255, count: 1024)
    try systemCall(
        "sched_setaffinity", [.number(0), .number(bits.count), .symbol("[all]")], on: "all CPUs",
        why: why
    ) { set_affinity(bits, bits.count) }
}

/// Chooses the memory nodes that this process's memory is taken from. See `set_mempolicy(2)`.
///
/// - Parameters:
///   - mode: the kernel's number of it, and the bits of its flags.
///   - nodes: a list such as `0-3,7`; empty for none.
/// - Throws: `EINVAL` where it is no such list, or the mode wants another one.
public func setMemoryPolicy(
    _ mode: CInt, _ nodes: String, why: StaticString
) throws(KernelError) {
    let bits = nodes.isEmpty ? [] : try bits(listed: nodes, "memory nodes")
    // The kernel takes one off: the number is that of the first bit that does not count.
    let count = bits.isEmpty ? 0 : bits.count * 8 + 1
    try systemCall(
        "set_mempolicy", [.number(Int(mode)), .symbol("[\(nodes)]"), .number(count)],
        on: "mode \(mode), nodes \(nodes.isEmpty ? "none" : nodes)", why: why
    ) { set_memory_policy(mode, bits, count) }
}

/// A bit for each number of a list such as `0-3,7`, eight to a byte.
private func bits(listed list: String, _ what: String) throws(KernelError) -> [UInt8] {
    // The kernel has no more nodes, and few machines more CPUs.
    var bits = [UInt8](repeating: 0, count: what == "memory nodes" ? 128 : 1024)
    for part in split(list, at: ",") {
        let ends = split(part, at: "-").map { Int($0) }
        guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1],
            first >= 0, first <= last, last < bits.count * 8
        else {
            throw KernelError(
                what, list, .invalidArgument, remedy: "Write a list such as 0-3,7.")
        }
        for number in first...last { bits[number / 8] |= 1 << (number % 8) }
    }
    return bits
}
