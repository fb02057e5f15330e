import Kernel

/// A /sys to look at: what the kernel knows of devices, links and file systems. See `sysfs(5)`.
///
/// Read-only, because most of what can be written there configures the whole machine.
public struct SysFilesystem: Mechanism {
    /// As the narrator calls it.
    public let name = "sys"

    private let borrowed: BorrowedMounts?

    /// - Parameter borrowed: where a user namespace has it from.
    public init(_ borrowed: BorrowedMounts? = nil) { self.borrowed = borrowed }

    /// Mounts it read-only.
    public func enter() throws(KernelError) {
        try makeDirectories("/sys", why: "the root file system has none")
        if let borrowed { return try borrowed.attachSys() }
        try mount(
            "sysfs", on: "/sys", type: "sysfs",
            [.readOnly, .noSetUID, .noDevices, .noExecution],
            why: "to be read; writing would configure the whole machine")
    }
}
