import CLinux
import Foundation

/// How a program ended.
enum Ending: Equatable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Int32)

    init(waitStatus: Int32) {
        let signal = waitStatus & 0x7F
        self = signal == 0 ? .exited((waitStatus >> 8) & 0xFF) : .signalled(signal)
    }

    var description: String {
        switch self {
        case .exited(let code): "exit code \(code)"
        case .signalled(let signal): "signal \(signal)"
        }
    }
}

/// What a program left behind when it had ended.
struct Outcome: CustomStringConvertible {
    var command: [String]
    var ending: Ending
    var output: String
    var errors: String

    /// The exit code; -n for a program that signal n killed.
    var code: Int32 {
        switch ending {
        case .exited(let code): code
        case .signalled(let signal): -signal
        }
    }

    /// Standard output without the newline at its end.
    var line: String { output.trimmingCharacters(in: .newlines) }

    /// The lines of standard output.
    var lines: [String] { output.split(separator: "\n").map(String.init) }

    var description: String {
        """
        \(command.joined(separator: " ").prefix(600)) → \(ending)
        ── standard output
        \(output.prefix(4000))
        ── standard error
        \(errors.prefix(4000))
        """
    }
}

/// What could not even be started, or did not end in time.
struct ProgramFailure: Error, CustomStringConvertible {
    var description: String
}

/// What a program gets as its standard input.
enum Input {
    /// /dev/null.
    case null
    /// This text, then the end of the file.
    case text(String)
    /// A pipe that stays open until ``Program/closeInput()``.
    case pipe
    /// Nothing: the descriptor is closed.
    case closed
}

/// A program that was started, seen from the process that started it.
///
/// It starts with default signals, with no descriptors but the standard three, and in a
/// process group of its own, so that a key of its terminal cannot hit the tests.
final class Program {
    let command: [String]
    let process: pid_t
    private var inputEnd: Int32 = -1
    private var ends: [Int32]
    private var gathered: [Data] = [Data(), Data()]
    private var ending: Ending?

    /// Everything the program has written to standard output so far.
    var output: String {
        drain()
        return String(decoding: gathered[0], as: UTF8.self)
    }

    /// Everything the program has written to standard error so far.
    var errors: String {
        drain()
        return String(decoding: gathered[1], as: UTF8.self)
    }

    /// Starts `command`, whose first word is a path or a name in PATH.
    init(
        _ command: [String], environment: [String: String] = [:], input: Input = .null,
        directory: String? = nil, terminal: PseudoTerminal? = nil
    ) throws {
        self.command = command
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var childEnds: [Int32] = []
        defer { childEnds.forEach { close($0) } }
        ends = []
        if let terminal {
            // The session's leader opens it first, which makes it the controlling terminal.
            posix_spawn_file_actions_addopen(&actions, 0, terminal.path, O_RDWR, 0)
            posix_spawn_file_actions_adddup2(&actions, 0, 1)
            posix_spawn_file_actions_adddup2(&actions, 0, 2)
        } else {
            switch input {
            case .null: posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
            case .closed: posix_spawn_file_actions_addclose(&actions, 0)
            case .text, .pipe:
                let (reading, writing) = try Program.pipe()
                childEnds.append(reading)
                inputEnd = writing
                posix_spawn_file_actions_adddup2(&actions, reading, 0)
            }
            for descriptor: Int32 in 1...2 {
                let (reading, writing) = try Program.pipe()
                _ = fcntl(reading, F_SETFL, O_NONBLOCK)
                childEnds.append(writing)
                ends.append(reading)
                posix_spawn_file_actions_adddup2(&actions, writing, descriptor)
            }
        }
        // Whatever else the test process has open is nothing for the program.
        close_range(3, ~0, Program.closeOnExec)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigdefault(&attributes, &all)
        let group = terminal == nil ? Int32(POSIX_SPAWN_SETPGROUP) : Program.newSession
        posix_spawnattr_setflags(
            &attributes,
            Int16(Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF) | group))

        let command = directory.map { ["env", "-C", $0] + command } ?? command
        var argv = command.map { strdup($0) } + [nil]
        defer { argv.forEach { free($0) } }
        var envp = Program.environment(adding: environment).map { strdup($0) } + [nil]
        defer { envp.forEach { free($0) } }
        var started: pid_t = 0
        let number = posix_spawnp(&started, command[0], &actions, &attributes, &argv, &envp)
        process = started
        guard number == 0 else {
            ending = .exited(127)
            throw ProgramFailure(
                description: "cannot start \(command[0]): \(String(cString: strerror(number)))")
        }
        if case .text(let text) = input {
            write(text)
            closeInput()
        }
    }

    deinit {
        if ending == nil {
            kill(-process, SIGKILL)
            kill(process, SIGKILL)
            var status: Int32 = 0
            waitpid(process, &status, 0)
        }
        closeInput()
        ends.forEach { close($0) }
    }

    /// Writes to the program's standard input.
    func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let put = rest.withUnsafeBytes { Glibc.write(inputEnd, $0.baseAddress, $0.count) }
            if put <= 0 { return }
            rest = rest.dropFirst(put)
        }
    }

    /// Lets the program see the end of its standard input.
    func closeInput() {
        if inputEnd >= 0 { close(inputEnd) }
        inputEnd = -1
    }

    /// Sends a signal to the program itself.
    func signal(_ number: Int32) { kill(process, number) }

    /// Whether it has ended; does not wait.
    var hasEnded: Bool {
        if ending != nil { return true }
        var status: Int32 = 0
        guard waitpid(process, &status, WNOHANG) == process else { return false }
        ending = Ending(waitStatus: status)
        return true
    }

    /// Waits until it has ended and gives what it left.
    ///
    /// - Throws: where it has not ended after `seconds`; it is killed then, and its process
    ///   group with it.
    @discardableResult
    func wait(_ seconds: Double = 20) throws -> Outcome {
        let deadline = Date(timeIntervalSinceNow: seconds * VirtualMachine.patience)
        while !hasEnded {
            drain()
            if Date() > deadline {
                kill(-process, SIGKILL)
                kill(process, SIGKILL)
                let state = Observed.describe(process)
                var status: Int32 = 0
                waitpid(process, &status, 0)
                ending = Ending(waitStatus: status)
                throw ProgramFailure(
                    description: "did not end within \(seconds) s (\(state)):\n\(outcome)")
            }
            usleep(500)
        }
        drainToEnd()
        return outcome
    }

    /// Waits until `text` stands in what the program wrote to standard output.
    func waitForOutput(_ text: String, _ seconds: Double = 10) throws {
        try waitUntil("`\(text)` in the output of:\n\(self.outcome)", seconds) {
            self.output.contains(text) || self.hasEnded
        }
        if !output.contains(text) {
            throw ProgramFailure(description: "ended without writing `\(text)`:\n\(outcome)")
        }
    }

    private var outcome: Outcome {
        Outcome(
            command: command, ending: ending ?? .exited(-1),
            output: String(decoding: gathered[0], as: UTF8.self),
            errors: String(decoding: gathered[1], as: UTF8.self))
    }

    @discardableResult
    private func drain() -> Bool {
        var open = false
        for (index, end) in ends.enumerated() {
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let got = read(end, &buffer, buffer.count)
                if got > 0 {
                    gathered[index].append(contentsOf: buffer[..<got])
                } else {
                    if got < 0 { open = true }
                    break
                }
            }
        }
        return open
    }

    /// Something of the program that outlives it may hold its output open; it gets a moment.
    private func drainToEnd() {
        let deadline = Date(timeIntervalSinceNow: 1)
        while drain() && Date() < deadline { usleep(500) }
    }

    // Glibc's module leaves these two out.
    private static let closeOnExec: Int32 = 4  // CLOSE_RANGE_CLOEXEC
    private static let newSession: Int32 = 0x80  // POSIX_SPAWN_SETSID

    private static func pipe() throws -> (reading: Int32, writing: Int32) {
        var pair: [Int32] = [-1, -1]
        guard pipe2(&pair, O_CLOEXEC) == 0 else {
            throw ProgramFailure(description: "pipe2: \(String(cString: strerror(errno)))")
        }
        return (pair[0], pair[1])
    }

    private static func environment(adding extra: [String: String]) -> [String] {
        var all = ProcessInfo.processInfo.environment
        for name in all.keys where name.hasPrefix("HULL_") { all[name] = nil }
        all["HULL_ROOT"] = Place.current?.state
        all.merge(extra) { $1 }
        return all.map { "\($0)=\($1)" }
    }
}

/// Runs `command` to its end.
@discardableResult
func run(
    _ command: [String], environment: [String: String] = [:], input: Input = .null,
    directory: String? = nil, seconds: Double = 20
) throws -> Outcome {
    try Program(command, environment: environment, input: input, directory: directory)
        .wait(seconds)
}

/// Waits until `condition` holds.
func waitUntil(
    _ what: @autoclosure () -> String, _ seconds: Double = 10, _ condition: () throws -> Bool
) throws {
    let deadline = Date(timeIntervalSinceNow: seconds * VirtualMachine.patience)
    while try !condition() {
        if Date() > deadline {
            throw ProgramFailure(description: "waited \(seconds) s for \(what())")
        }
        usleep(1000)
    }
}
