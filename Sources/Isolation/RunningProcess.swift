import Glibc
import Kernel

/// A process that cannot be mistaken for a later one of the same number.
public struct RunningProcess: Equatable, Sendable {
    /// Its number on this host.
    public let id: ProcessID
    /// When it was started, in the kernel's clock ticks since boot. See `proc_pid_stat(5)`.
    private let started: String

    /// The one that has this number now.
    /// - Throws: `ESRCH` where none has.
    public init(_ id: ProcessID) throws(KernelError) {
        guard let started = Self.start(of: id) else {
            throw KernelError(
                "find process", "\(id.rawValue)", .noSuchProcess,
                remedy: "It has ended, or there never was one; `hull ps` tells what runs.")
        }
        self.id = id
        self.started = started
    }

    /// Reads what ``description`` has written; nil where it is something else.
    public init?(_ text: String) {
        let words = split(text, at: " ")
        guard words.count == 2, let number = pid_t(words[0]) else { return nil }
        id = ProcessID(rawValue: number)
        started = words[1]
    }

    /// Whether it still runs. One that has ended and was not waited for does not.
    public var isRunning: Bool { Self.start(of: id) == started }

    /// The name in the second field may hold anything, a parenthesis too: fields count from the
    /// last one.
    private static func start(of id: ProcessID) -> String? {
        let text: String
        do { text = try readText("/proc/\(id.rawValue)/stat") } catch { return nil }
        let fields = split(split(text, at: ")").last ?? "", at: " ")
        // Behind the parenthesis comes field 3, the state; the start is field 22.
        if fields.count <= 20 || fields[1] == "Z" || fields[1] == "X" { return nil }
        return fields[20]
    }
}

extension RunningProcess: CustomStringConvertible {
    /// Number and start, for a file.
    public var description: String { "\(id.rawValue) \(started)" }
}
