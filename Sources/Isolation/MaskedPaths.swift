import Kernel

/// Files that must not even be read: the kernel's memory, its keys, its timers.
///
/// A file is covered with /dev/null, a directory with an empty file system.
/// runtime-spec, `config-linux.md`, "Masked Paths"; the list is Docker's.
public struct MaskedPaths: Mechanism {
    /// As the narrator calls it.
    public let name = "masked paths"
    private let paths: [String]

    /// Masks `paths`, those of them that exist.
    public init(_ paths: [String] = MaskedPaths.defaults) { self.paths = paths }

    /// What Docker masks.
    public static let defaults = [
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
        "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
    ]

    // book: begin masked-enter
    /// Covers each. After /proc, /sys and /dev are there, and before the host's root goes.
    public func enter() throws(KernelError) {
        for path in paths {
            switch fileType(path) {
            case nil: continue
            case .directory:
                try mount(
                    "tmpfs", on: path, type: "tmpfs", .readOnly, options: "size=0k",
                    why: "an empty directory over what must not be read")
            default:
                try mount(
                    "/dev/null", on: path, .bind, why: "nothing over what must not be read")
            }
        }
    }
    // book: end masked-enter
}

/// Paths that may be read and not written, above all the kernel's settings.
///
/// runtime-spec, `config-linux.md`, "Readonly Paths"; the list is Docker's.
public struct ReadOnlyPaths: Mechanism {
    /// As the narrator calls it.
    public let name = "read-only paths"
    private let paths: [String]

    /// Makes `paths` read-only, those of them that exist.
    public init(_ paths: [String] = ReadOnlyPaths.defaults) { self.paths = paths }

    /// What Docker makes read-only.
    public static let defaults = [
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
    ]

    /// Mounts each path on itself: a bind mount has options of its own.
    public func enter() throws(KernelError) {
        for path in paths where fileType(path) != nil {
            try mount(path, on: path, [.bind, .recursive], why: "a mount of its own, to restrict")
            try mount(
                path, on: path,
                [.bind, .remount, .readOnly, .noSetUID, .noDevices, .noExecution],
                why: "these settings are the host's too")
        }
    }
}
