import Kernel

/// A /dev with what every program expects and no hardware.
///
/// runtime-spec, `config-linux.md`, "Default Devices" and "Default Filesystems".
public struct DeviceFilesystem: Mechanism {
    /// As the narrator calls it.
    public let name = "dev"
    private let hasConsole: Bool
    private let borrowed: BorrowedMounts?

    /// - Parameters:
    ///   - hasConsole: whether a terminal is going to be mounted on /dev/console.
    ///   - borrowed: where a user namespace has its devices from.
    public init(hasConsole: Bool, _ borrowed: BorrowedMounts? = nil) {
        self.hasConsole = hasConsole
        self.borrowed = borrowed
    }

    /// Major and minor number of each node. See `null(4)`, `random(4)`, `tty(4)`.
    static let nodes: [(name: String, major: UInt32, minor: UInt32)] = [
        ("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9),
        ("tty", 5, 0),
    ]

    private static let links = [
        ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"), ("core", "/proc/kcore"),
    ]

    // book: begin dev-enter
    /// Builds it in memory, node by node.
    public func enter() throws(KernelError) {
        try makeDirectories("/dev", why: "the root file system has none")
        try mount(
            "tmpfs", on: "/dev", type: "tmpfs", [.noSetUID, .strictAccessTime],
            options: "mode=755,size=65536k", why: "an empty /dev instead of the image's")
        try borrowed?.attachDevices()
        for node in Self.nodes where borrowed == nil {
            try makeDevice(
                "/dev/\(node.name)", major: node.major, minor: node.minor, mode: 0o666,
                why: "one of the few devices that are safe to share")
        }
        for (name, target) in Self.links {
            try makeSymbolicLink("/dev/\(name)", to: target, why: "a name that programs expect")
        }
        if hasConsole {
            try makeEmptyFile("/dev/console", mode: 0o600, why: "the terminal is mounted on it")
        }
        try mountBelow()
    }
    // book: end dev-enter

    private func mountBelow() throws(KernelError) {
        for name in ["pts", "shm", "mqueue"] {
            try makeDirectory("/dev/\(name)", why: "a place to mount on")
        }
        try mountTerminals()
        try mount(
            "shm", on: "/dev/shm", type: "tmpfs", [.noSetUID, .noDevices, .noExecution],
            options: "mode=1777,size=65536k", why: "POSIX shared memory lives here")
        try mountQueues()
    }

    private func mountTerminals() throws(KernelError) {
        let options = "newinstance,ptmxmode=0666,mode=0620"
        let why: StaticString = "terminals of its own: the host's cannot be opened from here"
        do throws(KernelError) {
            try mount(
                "devpts", on: "/dev/pts", type: "devpts", [.noSetUID, .noExecution],
                options: options + ",gid=5", why: why)
        } catch  where borrowed != nil && error.errno == .invalidArgument {
            // A user namespace may know no group 5, which is `tty` everywhere.
            try mount(
                "devpts", on: "/dev/pts", type: "devpts", [.noSetUID, .noExecution],
                options: options, why: why)
        }
    }

    private func mountQueues() throws(KernelError) {
        do throws(KernelError) {
            try mount(
                "mqueue", on: "/dev/mqueue", type: "mqueue",
                [.noSetUID, .noDevices, .noExecution],
                why: "POSIX message queues, those of this IPC namespace")
        } catch  where borrowed != nil && error.errno == .notPermitted {
            // The host's IPC namespace: its queues are not this root's to show.
        }
    }
}
