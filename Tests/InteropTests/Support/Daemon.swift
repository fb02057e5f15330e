import CLinux
import Foundation
import Testing

/// A program in the background that cannot outlive the tests.
///
/// A shell starts it and waits for the end of a pipe whose other end only the test process has. When
/// that closes it, or dies, however it dies, the shell kills the daemon; or the daemon itself waits
/// for that.
final class Daemon: Sendable {
    private let shell: Process
    private let lifeline: Int32
    private let log: String

    /// Starts `command` with its output in `log`.
    ///
    /// - Parameter endsItself: it ends when its standard input does.
    init(
        _ command: [String], environment: [String: String] = [:], log: String,
        endsItself: Bool = false
    ) throws {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw CommandFailure(description: "pipe2") }
        lifeline = ends[1]
        self.log = log
        shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        let script = endsItself ? #"exec "$@" >"$0" 2>&1"# : Daemon.script
        shell.arguments = ["-c", script, log] + command
        shell.environment = environment.merging(
            ["PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"]) { own, _ in own }
        shell.standardInput = FileHandle(fileDescriptor: ends[0], closeOnDealloc: true)
        shell.standardOutput = FileHandle.nullDevice
        shell.standardError = FileHandle.nullDevice
        try shell.run()
    }

    deinit {
        close(lifeline)
        shell.waitUntilExit()
    }

    /// Ctrl-C hits the shell too, and has to find it at its work.
    private static let script = """
        trap '' INT TERM HUP
        "$@" </dev/null >"$0" 2>&1 &
        cat >/dev/null
        kill -KILL $! && wait $!
        """

    /// Waits until it answers, or has said why it does not.
    func wait(for what: String = "a daemon", until isReady: () throws -> Bool) throws {
        try waitUntil("\(what). Its log ends with:\n\(lastWords)", 30, isReady)
    }

    private var lastWords: String {
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        return String(text.suffix(2000))
    }

    /// Puts a daemon that makes mounts and processes into namespaces that end with it.
    static func contained(_ command: [String]) -> [String] {
        [
            "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
            "--mount-proc",
        ] + command
    }
}
