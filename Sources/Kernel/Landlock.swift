import CLinux
import Glibc

/// What may be done with a file or below a directory. See `landlock(7)`.
public struct LandlockAccess: OptionSet, Sendable {
    /// The kernel's bits.
    public let rawValue: UInt64
    /// Takes the kernel's bits as they are.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Execute, read a file, list a directory.
    public static let read = LandlockAccess(rawValue: 0b1101)
    /// What means something for a file: execute, write, read, truncate, ioctl on a device.
    public static let ofFiles = LandlockAccess(rawValue: 0b1100_0000_0000_0111)

    /// Everything that a kernel with this ABI can forbid.
    public static func all(abi: Int32) -> LandlockAccess {
        switch abi {
        case 1: LandlockAccess(rawValue: 0x1FFF)
        case 2: LandlockAccess(rawValue: 0x3FFF)
        case 3, 4: LandlockAccess(rawValue: 0x7FFF)
        default: LandlockAccess(rawValue: 0xFFFF)
        }
    }
}

/// How much Landlock this kernel has: the ABI's number, from 1. See `landlock_create_ruleset(2)`.
/// - Throws: `ENOSYS` or `EOPNOTSUPP` where there is none.
public func landlockABI() throws(KernelError) -> Int32 {
    let abi = landlock_abi()
    guard abi > 0 else { throw KernelError("landlock", "this kernel", .current) }
    return abi
}

/// A set of rules that forbids all of `access` except where a rule allows it.
public func makeLandlockRuleset(
    forbidding access: LandlockAccess, why: StaticString
) throws(KernelError) -> Descriptor {
    let number = try systemCall(
        "landlock_create_ruleset",
        [
            .symbol("{handled_access_fs=0x\(String(access.rawValue, radix: 16))}"), .number(8),
            .number(0),
        ],
        on: "a ruleset", why: why
    ) { landlock_create(access.rawValue) }
    return Descriptor(owning: number)
}

/// Adds a rule: what may be done below an open directory, or with an open file.
/// See `landlock_add_rule(2)`.
public func allow(
    _ access: LandlockAccess, below file: borrowing Descriptor, in ruleset: borrowing Descriptor,
    path: String, why: StaticString
) throws(KernelError) {
    let (set, place) = (ruleset.number, file.number)
    try systemCall(
        "landlock_add_rule",
        [
            .number(Int(set)), .symbol("LANDLOCK_RULE_PATH_BENEATH"),
            .symbol(
                "{allowed_access=0x\(String(access.rawValue, radix: 16)), parent_fd=\(place)}"),
            .number(0),
        ],
        on: path, why: why
    ) { landlock_allow(set, place, access.rawValue) }
}

/// Has the rules count for this process and all its children, for good.
/// See `landlock_restrict_self(2)`.
public func restrictSelf(to ruleset: borrowing Descriptor, why: StaticString) throws(KernelError) {
    let number = ruleset.number
    try systemCall(
        "landlock_restrict_self", [.number(Int(number)), .number(0)], on: "this process", why: why
    ) { landlock_restrict(number) }
}
