import Kernel

/// Clocks of its own that count from another beginning. See `time_namespaces(7)`.
///
/// The clocks that cannot be set: the monotonic one, and the time since the machine was booted
/// (which is its uptime). The time of day is the whole machine's.
public struct TimeNamespace: Mechanism {
    /// As the narrator calls it.
    public let name = "time namespace"
    private let offsets: String

    /// Reads `CLOCK=SECONDS[,CLOCK=SECONDS]`, with the clocks monotonic and boottime.
    /// - Throws: `EINVAL` where it is not that.
    public init(parsing text: String) throws(KernelError) {
        var lines = ""
        for part in split(text, at: ",") {
            let words = split(part, at: "=")
            guard words.count == 2, ["monotonic", "boottime"].contains(words[0]),
                let seconds = Int64(words[1])
            else {
                throw KernelError(
                    "time offset", text.isEmpty ? "\"\"" : text, .invalidArgument,
                    remedy: "Write monotonic=SECONDS,boottime=SECONDS, or one of them.")
            }
            lines += "\(words[0]) \(seconds) 0\n"
        }
        offsets = lines
    }

    /// - Parameter offsets: of the clocks `monotonic` and `boottime`.
    public init(offsets: [(clock: String, seconds: Int, nanoseconds: Int)]) {
        var lines = ""
        for offset in offsets {
            lines += "\(offset.clock) \(offset.seconds) \(offset.nanoseconds)\n"
        }
        self.offsets = lines
    }

    // book: begin time-enter
    /// Makes the namespace, sets its clocks, and enters it.
    ///
    /// In this order, because the clocks can be set only while nobody is in it. So it is not for
    /// `clone3(2)`, which would put the child in at once. Newer kernels enter it by themselves on
    /// `execve(2)`; older ones do not, nor does an init of ours, which executes nothing. After
    /// /proc has been mounted.
    public func enter() throws(KernelError) {
        try leaveNamespaces(for: .time, why: "a time namespace, as yet for children only")
        do {
            if !offsets.isEmpty {
                try tellKernel(
                    offsets, in: "/proc/self/timens_offsets",
                    why: "how far its clocks are from the host's")
            }
        } catch  where error.errno == .outOfRange {
            throw error.advising("No clock may stand before 0, nor further than 146 years.")
        }
        try enterNamespace(
            "/proc/self/ns/time_for_children", .time, why: "now that its clocks are set")
    }
    // book: end time-enter
}
