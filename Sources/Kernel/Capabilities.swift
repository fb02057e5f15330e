import CLinux
import Glibc

/// A set of capabilities: the pieces that the power of root was cut into. See `capabilities(7)`.
///
/// Bit n stands for capability n of the kernel's header, such as 21 for `CAP_SYS_ADMIN`.
public struct CapabilitySet: OptionSet, Hashable, Sendable {
    /// The kernel's bits, as /proc/PID/status shows them in hexadecimal.
    public let rawValue: UInt64
    /// Takes the kernel's bits as they are.
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// The set of one capability.
    public init(_ number: UInt8) { rawValue = 1 << UInt64(number) }

    /// The numbers of those in the set, in order.
    public var numbers: [UInt8] {
        var numbers: [UInt8] = []
        for number: UInt8 in 0..<64 where contains(CapabilitySet(number)) { numbers.append(number) }
        return numbers
    }

    /// Mounts, namespaces, and far too much else.
    public static let sysAdmin = CapabilitySet(21)
    /// May make another set its bounding set.
    public static let setPCap = CapabilitySet(8)
}

/// What this process may do now, and what it may hand to the programs it executes.
public struct ProcessCapabilities: Equatable, Sendable {
    /// What the kernel looks at when it decides.
    public var effective: CapabilitySet
    /// What it may make effective.
    public var permitted: CapabilitySet
    /// What an executed file may ask to keep.
    public var inheritable: CapabilitySet

    /// Three sets.
    public init(
        effective: CapabilitySet, permitted: CapabilitySet, inheritable: CapabilitySet
    ) {
        self.effective = effective
        self.permitted = permitted
        self.inheritable = inheritable
    }

    /// Those of this process. See `capget(2)`.
    public static func current() throws(KernelError) -> ProcessCapabilities {
        var effective: UInt64 = 0
        var permitted: UInt64 = 0
        var inheritable: UInt64 = 0
        guard get_capabilities(&effective, &permitted, &inheritable) == 0 else {
            throw KernelError("capget", "this process", .current)
        }
        return ProcessCapabilities(
            effective: CapabilitySet(rawValue: effective),
            permitted: CapabilitySet(rawValue: permitted),
            inheritable: CapabilitySet(rawValue: inheritable))
    }
}

/// Gives this process these sets. See `capset(2)`.
/// - Parameter name: the kernel's name of a capability, for showing.
public func setCapabilities(
    _ sets: ProcessCapabilities, naming name: (UInt8) -> String, why: StaticString
) throws(KernelError) {
    try systemCall(
        "capset",
        [
            .symbol("{version=_LINUX_CAPABILITY_VERSION_3, pid=0}"),
            .symbol(
                "{effective=\(symbols(sets.effective, name)), "
                    + "permitted=\(symbols(sets.permitted, name)), "
                    + "inheritable=\(symbols(sets.inheritable, name))}"),
        ],
        on: "the capabilities of the command", why: why
    ) {
        set_capabilities(
            sets.effective.rawValue, sets.permitted.rawValue, sets.inheritable.rawValue)
    }
}

private func symbols(_ set: CapabilitySet, _ name: (UInt8) -> String) -> String {
    if set.isEmpty { return "0" }
    return join(set.numbers.map { "1<<" + name($0) }, with: "|")
}

/// Whether a capability is in this process's bounding set; false for one that the kernel does
/// not have. See `prctl(2)`, `PR_CAPBSET_READ`.
public func isInBoundingSet(_ number: UInt8) -> Bool {
    prctl_set(CInt(linux_PR_CAPBSET_READ), UInt(number)) == 1
}

/// Takes a capability out of the bounding set: neither this process nor any program that it
/// executes can get it again. See `prctl(2)`, `PR_CAPBSET_DROP`.
public func dropFromBoundingSet(
    _ number: UInt8, named name: @autoclosure () -> String, why: StaticString
) throws(KernelError) {
    try systemCall(
        "prctl", [.symbol("PR_CAPBSET_DROP"), .symbol(name())], on: "PR_CAPBSET_DROP \(name())",
        why: why
    ) { prctl_set(CInt(linux_PR_CAPBSET_DROP), UInt(number)) }
}

/// Empties the ambient set. See `prctl(2)`, `PR_CAP_AMBIENT_CLEAR_ALL`.
public func clearAmbientSet(why: StaticString) throws(KernelError) {
    try systemCall(
        "prctl",
        [
            .symbol("PR_CAP_AMBIENT"), .symbol("PR_CAP_AMBIENT_CLEAR_ALL"), .number(0), .number(0),
            .number(0),
        ],
        on: "PR_CAP_AMBIENT", why: why
    ) { prctl_ambient(UInt(linux_PR_CAP_AMBIENT_CLEAR_ALL), 0) }
}

/// Adds a capability to those that survive `execve(2)` without being root. It has to be
/// permitted and inheritable. See `prctl(2)`, `PR_CAP_AMBIENT_RAISE`.
public func raiseAmbient(
    _ number: UInt8, named name: @autoclosure () -> String, why: StaticString
) throws(KernelError) {
    try systemCall(
        "prctl",
        [
            .symbol("PR_CAP_AMBIENT"), .symbol("PR_CAP_AMBIENT_RAISE"), .symbol(name()),
            .number(0), .number(0),
        ],
        on: "PR_CAP_AMBIENT_RAISE \(name())", why: why
    ) { prctl_ambient(UInt(linux_PR_CAP_AMBIENT_RAISE), UInt(number)) }
}
