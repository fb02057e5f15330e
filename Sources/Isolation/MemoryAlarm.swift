import CLinux
import Glibc
import Kernel

/// Tells when the kernel has killed a process of a cgroup for lack of memory.
///
/// Version 1 counts up an event descriptor, version 2 changes a file that can be watched. See
/// "OOM Control" and "memory.events" in the kernel's documentation of the two.
public struct MemoryAlarm: ~Copyable {
    private let events: Descriptor
    /// Version 2's file, whose count tells a kill from other events.
    private let file: String?
    private var kills: Int

    /// - Throws: `EOPNOTSUPP` where nothing counts its memory.
    public init(_ group: RunningControlGroup) throws(KernelError) {
        for directory in group.directories {
            if fileType(directory + "/memory.events") != nil {
                self = try MemoryAlarm(unified: directory + "/memory.events")
                return
            }
            if fileType(directory + "/memory.oom_control") != nil {
                self = try MemoryAlarm(old: directory)
                return
            }
        }
        throw KernelError(
            "watch memory of", group.directories.first ?? "a container without a cgroup",
            Errno(rawValue: EOPNOTSUPP), remedy: "There is no memory controller for it.")
    }

    private init(unified file: String) throws(KernelError) {
        events = try watchFile(file, why: "the kernel changes it at each kill")
        self.file = file
        kills = readControl(file, key: "oom_kill") ?? 0
    }

    private init(old directory: String) throws(KernelError) {
        let control = try Descriptor.open(directory + "/memory.oom_control", O_RDONLY)
        let counter = try eventCounter(why: "the kernel counts it up at each kill")
        try writeControl(
            directory + "/cgroup.event_control", "\(counter.number) \(control.number)",
            why: "which event is to count up what")
        events = counter
        file = nil
        kills = 0
    }

    /// To be polled: it can be read when something has happened.
    public var descriptor: CInt { events.number }

    /// How many were killed since it was last asked. Call it when ``descriptor`` can be read.
    ///
    /// Version 1 tells the same at the end of the cgroup: look whether it is there still.
    public mutating func take() -> Int {
        let bytes: [UInt8]
        do { bytes = try events.read(upTo: 4096) } catch { return 0 }
        guard let file else {
            var count: UInt64 = 0
            withUnsafeMutableBytes(of: &count) { $0.copyBytes(from: bytes.prefix(8)) }
            return Int(count)
        }
        let now = readControl(file, key: "oom_kill") ?? kills
        defer { kills = now }
        return now - kills
    }
}
