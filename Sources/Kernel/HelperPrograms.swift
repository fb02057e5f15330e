import CLinux
import Glibc

/// Runs a program of the host's to its end, with `input` as its standard input.
///
/// It sees nothing of our environment but a PATH, and it is killed if this process is.
///
/// - Parameters:
///   - input: at most what a pipe holds, 64 KiB.
///   - lock: a descriptor that it keeps open, so that a lock outlives us for as long as it runs.
/// - Returns: its exit code and what it wrote to standard error.
/// - Throws: `ENOENT` where it is not installed.
public func runHelper(
    _ arguments: [String], input: String, keeping lock: CInt, why: StaticString
) throws(KernelError) -> (code: Int32, errors: String) {
    var feed = try Pipe()
    try feed.writing?.write(input)
    // The end of its input.
    feed.writing = nil
    var errors = try Pipe()
    let child = try clone(into: [], isSandbox: false, why: "a process for the program")
    guard let child else {
        becomeHelper(
            arguments, feed.reading?.number ?? -1, errors.writing?.number ?? -1, lock, input, why)
    }
    errors.writing = nil
    let said = try errors.reading?.readAll() ?? []
    let code = try wait(for: child).code
    if code == ExitCode.notFound { throw KernelError("run", arguments[0], .noSuchFile) }
    return (code, String(decoding: said, as: UTF8.self))
}

private func becomeHelper(
    _ arguments: [String], _ input: CInt, _ errors: CInt, _ lock: CInt, _ text: String,
    _ why: StaticString
) -> Never {
    _ = prctl_set(CInt(linux_PR_SET_PDEATHSIG), UInt(SIGKILL))
    dup2(input, 0)
    dup2(errors, 1)
    dup2(errors, 2)
    _ = fcntl(lock, F_SETFD, 0)
    let path = "PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    do {
        try execute(arguments, environment: [path], input: text, why: why)
    } catch {
        _exit(error.exitCode)
    }
}

/// Two ends; each is closed as soon as it is nil.
private struct Pipe: ~Copyable {
    var reading: Descriptor?
    var writing: Descriptor?

    init() throws(KernelError) {
        var ends: [CInt] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw KernelError("pipe2", "a pipe", .current) }
        reading = Descriptor(owning: ends[0])
        writing = Descriptor(owning: ends[1])
    }
}
