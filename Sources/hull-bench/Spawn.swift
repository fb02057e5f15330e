import Glibc
import Kernel

/// Starts a program and waits for it. See `posix_spawn(3)`.
///
/// It clones with `CLONE_VFORK|CLONE_VM`, so that the size of this process costs nothing.
enum Spawn {
    /// Runs a command with its output thrown away.
    /// - Returns: its exit code, and the nanoseconds from before the clone to after the wait.
    static func timing(_ words: [String]) throws(KernelError) -> (code: Int32, time: UInt64) {
        let nothing = try Descriptor.open("/dev/null", O_RDWR)
        let begin = now()
        let process = try start(words, output: nothing.number)
        let status = try wait(for: process)
        return (status.code, now() - begin)
    }

    /// What a command printed, to both of its outputs.
    struct Result {
        let code: Int32
        let output: String

        var lastLine: String { output.split(separator: "\n").last.map(String.init) ?? "no output" }
    }

    /// Runs a command and takes its output. One that takes longer than a minute is killed.
    static func capturing(_ words: [String]) throws(KernelError) -> Result {
        // A file: a pipe would stay open as long as any daemon that was started holds it.
        let path = "/tmp/hull-bench-" + randomName()
        let file = try Descriptor.open(path, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        unlink(path)
        let process = try start(words, output: file.number)
        let status = try waitAtMost(60, for: process)
        lseek(file.number, 0, SEEK_SET)
        return Result(
            code: status.code, output: String(decoding: try file.readAll(), as: UTF8.self))
    }

    private static func start(_ words: [String], output: CInt) throws(KernelError) -> ProcessID {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        var argv = words.map { strdup($0) } + [nil]
        defer { for pointer in argv { free(pointer) } }
        var process: pid_t = 0
        let number = posix_spawnp(&process, words[0], &actions, nil, &argv, environ)
        if number != 0 { throw KernelError("posix_spawn", words[0], Errno(rawValue: number)) }
        return ProcessID(rawValue: process)
    }

    private static func waitAtMost(
        _ seconds: UInt64, for process: ProcessID
    ) throws(KernelError) -> ExitStatus {
        let end = now() + seconds * 1_000_000_000
        while true {
            if let (ended, status) = try reapAny(), ended == process { return status }
            if now() > end { kill(process.rawValue, SIGKILL) }
            usleep(10_000)
        }
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
