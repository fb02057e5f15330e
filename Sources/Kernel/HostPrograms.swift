import CLinux
import Glibc

/// How a program of the host's that ran for us has ended.
public struct ProgramOutcome: Sendable {
    /// How.
    public let status: ExitStatus
    /// What it wrote to standard output and error, as much as was wanted.
    public let output: String
    /// Whether it was killed because its time was up.
    public let wasTooSlow: Bool
}

/// Runs a program with an environment of its own and `input` as its standard input, to its end.
///
/// It is killed if this process is. What it leaves running in the background is its own affair.
///
/// - Parameters:
///   - directory: where it starts; where we are if nil.
///   - input: at most what a pipe holds, 64 KiB.
///   - seconds: after which it is killed; nil for never.
///   - limit: how many bytes of what it writes are wanted.
/// - Throws: where it could not be started at all.
public func runProgram(
    _ path: String, _ arguments: [String], environment: [String], in directory: String? = nil,
    input: String, seconds: Int? = nil, limit: Int = 16 << 10, why: StaticString
) throws(KernelError) -> ProgramOutcome {
    let feed = try Pipe()
    defer { close(feed.reading) }
    try feed.write(input)
    let output = try Pipe()
    let said = Descriptor(owning: output.reading)
    guard let child = try clone(into: [], isSandbox: false, why: why) else {
        become(path, arguments, environment, directory, feed, output)
    }
    close(output.writing)
    let handle = Descriptor(owning: pidfd_open(child.rawValue, 0))
    guard handle.number >= 0 else { throw KernelError("pidfd_open", path, .current) }
    let (text, ended) = try listen(to: said, until: handle, seconds: seconds, limit)
    if !ended { try send(SIGKILL, to: child) }
    return ProgramOutcome(
        status: try wait(for: child), output: String(decoding: text, as: UTF8.self),
        wasTooSlow: !ended)
}

/// Reads until the process has ended, even where something it left behind goes on writing.
private func listen(
    to output: borrowing Descriptor, until handle: borrowing Descriptor, seconds: Int?, _ limit: Int
) throws(KernelError) -> (text: [UInt8], ended: Bool) {
    var text: [UInt8] = []
    var isOpen = true
    let deadline = seconds.map { monotonicMilliseconds() + $0 * 1000 }
    while true {
        var requests = [
            pollfd(fd: handle.number, events: Int16(POLLIN), revents: 0),
            pollfd(fd: isOpen ? output.number : -1, events: Int16(POLLIN), revents: 0),
        ]
        let left = deadline.map { CInt(clamping: max($0 - monotonicMilliseconds(), 0)) } ?? -1
        let count = poll(&requests, 2, left)
        if count == 0 { return (text, false) }
        if count < 0 { continue }
        if requests[1].revents != 0 {
            let bytes = try output.read(upTo: 4096)
            if bytes.isEmpty { isOpen = false }
            if text.count < limit { text += bytes }
        } else if requests[0].revents != 0 {
            return (text, true)
        }
    }
}

private func monotonicMilliseconds() -> Int {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

private func become(
    _ path: String, _ arguments: [String], _ environment: [String], _ directory: String?,
    _ feed: Pipe, _ output: Pipe
) -> Never {
    Narrator.stop()
    _ = prctl_set(CInt(linux_PR_SET_PDEATHSIG), UInt(SIGKILL))
    dup2(feed.reading, 0)
    dup2(output.writing, 1)
    dup2(output.writing, 2)
    _ = close_range(3, UInt32.max, 0)
    reset_signal_handlers()
    _ = set_signal_mask(0)
    // One that is gone is no reason not to run it.
    if let directory { _ = chdir(directory) }
    var argv = arguments.map { strdup($0) } + [nil]
    var envp = environment.map { strdup($0) } + [nil]
    execve(path, &argv, &envp)
    let reason = "execve \(path): \(Errno.current.meaning)\n"
    _ = write(2, reason, reason.utf8.count)
    _exit(ExitCode.notFound)
}
