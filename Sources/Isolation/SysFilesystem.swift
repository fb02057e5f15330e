import Kernel

/// A /sys to look at: what the kernel knows of devices, links and file systems. See `sysfs(5)`.
///
/// Read-only, because most of what can be written there configures the whole machine.
public struct SysFilesystem: Mechanism {
    /// As the narrator calls it.
    public let name = "sys"

    private let borrowed: BorrowedMounts?

    private let isReadOnly: Bool

    /// - Parameters:
    ///   - borrowed: where a user namespace has it from.
    ///   - isReadOnly: false for a container that may configure the whole machine.
    public init(_ borrowed: BorrowedMounts? = nil, isReadOnly: Bool = true) {
        self.borrowed = borrowed
        self.isReadOnly = isReadOnly
    }

    /// Mounts it, read-only as a rule.
    public func enter() throws(KernelError) {
        try makeDirectories("/sys", why: "the root file system has none")
        if let borrowed { return try borrowed.attachSys() }
        var flags: MountFlags = [.noSetUID, .noDevices, .noExecution]
        if isReadOnly { flags.insert(.readOnly) }
        try mount(
            "sysfs", on: "/sys", type: "sysfs", flags,
            why: "to be read; writing would configure the whole machine")
    }
}
