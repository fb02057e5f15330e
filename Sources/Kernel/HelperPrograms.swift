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
    let feed = try Pipe()
    defer { close(feed.reading) }
    try feed.write(input)
    let errors = try Pipe()
    guard let child = try clone(into: [], isSandbox: false, why: "a process for the program")
    else { becomeHelper(arguments, feed, errors, lock, input, why) }
    close(errors.writing)
    let said = try errors.readAll()
    let code = try wait(for: child).code
    if code == ExitCode.notFound { throw KernelError("run", arguments[0], .noSuchFile) }
    return (code, String(decoding: said, as: UTF8.self))
}

private func becomeHelper(
    _ arguments: [String], _ feed: Pipe, _ errors: Pipe, _ lock: CInt,
    _ input: String, _ why: StaticString
) -> Never {
    _ = prctl_set(CInt(linux_PR_SET_PDEATHSIG), UInt(SIGKILL))
    dup2(feed.reading, 0)
    dup2(errors.writing, 1)
    dup2(errors.writing, 2)
    _ = fcntl(lock, F_SETFD, 0)
    let path = "PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    do {
        try execute(arguments, environment: [path], input: input, why: why)
    } catch {
        _exit(error.exitCode)
    }
}

/// See `pipe(7)`.
/// Two ends: what is written into the one is read from the other. See `pipe(2)`.
struct Pipe {
    let reading: CInt
    let writing: CInt

    init() throws(KernelError) {
        var ends: [CInt] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw KernelError("pipe2", "a pipe", .current) }
        reading = ends[0]
        writing = ends[1]
    }

    /// Writes less than what a pipe holds, or it would wait for a reader; then closes that end.
    func write(_ text: String) throws(KernelError) {
        let end = Descriptor(owning: writing)
        try end.write(text)
    }

    /// Reads until nobody can write any more, and closes that end.
    func readAll() throws(KernelError) -> [UInt8] {
        let end = Descriptor(owning: reading)
        return try end.readAll()
    }
}
