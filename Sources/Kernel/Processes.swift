import CLinux
import Glibc

/// How a process ended.
public enum ExitStatus: Equatable, Sendable {
    /// By itself, with this code.
    case exited(Int32)
    /// By this signal.
    case signalled(Int32)

    /// The code a shell gives it: 128 + n for signal n.
    public var code: Int32 {
        switch self {
        case .exited(let code): code
        case .signalled(let signal): 128 + signal
        }
    }

    init(waitStatus: Int32) {
        let signal = waitStatus & 0x7F
        self = signal == 0 ? .exited((waitStatus >> 8) & 0xFF) : .signalled(signal)
    }
}

/// Waits until a child has ended and takes its status. See `waitpid(2)`.
public func wait(for child: ProcessID) throws(KernelError) -> ExitStatus {
    var status: Int32 = 0
    let result = retryingInterrupts { waitpid(child.rawValue, &status, 0) }
    guard result >= 0 else { throw KernelError("waitpid", "\(child.rawValue)", .current) }
    return ExitStatus(waitStatus: status)
}

/// Takes the status of any child that has ended; nil where all still run.
/// - Throws: `ECHILD` where there are no children at all.
public func reapAny() throws(KernelError) -> (ProcessID, ExitStatus)? {
    var status: Int32 = 0
    let child = retryingInterrupts { waitpid(-1, &status, WNOHANG) }
    guard child >= 0 else { throw KernelError("waitpid", "any child", .current) }
    return child == 0 ? nil : (ProcessID(rawValue: child), ExitStatus(waitStatus: status))
}

/// Asks the kernel to kill this process when the one that made it dies. See `prctl(2)`,
/// `PR_SET_PDEATHSIG`.
public func dieWithParent(why: StaticString) throws(KernelError) {
    try systemCall(
        "prctl", [.symbol("PR_SET_PDEATHSIG"), .symbol("SIGKILL")], on: "PR_SET_PDEATHSIG", why: why
    ) { prctl_set(CInt(linux_PR_SET_PDEATHSIG), UInt(SIGKILL)) }
}

/// Whether this process has asked for ``dieWithParent(why:)``. See `prctl(2)`,
/// `PR_GET_PDEATHSIG`.
public var diesWithParent: Bool {
    var signal: CInt = 0
    _ = withUnsafeMutablePointer(to: &signal) {
        prctl_set(CInt(linux_PR_GET_PDEATHSIG), UInt(bitPattern: $0))
    }
    return signal != 0
}

/// Leaves open files to the program that is executed next. See `fcntl(2)`, `FD_CLOEXEC`.
/// - Throws: `EBADF` where one is not open.
public func keepAcrossExecution(_ descriptors: [CInt]) throws(KernelError) {
    for descriptor in descriptors where fcntl(descriptor, F_SETFD, 0) < 0 {
        throw KernelError("fcntl", "descriptor \(descriptor)", .current)
    }
}

/// Makes this process the leader of a session without a terminal. See `setsid(2)`.
public func startSession(why: StaticString) throws(KernelError) {
    try systemCall("setsid", [], on: "a new session", why: why) { setsid() }
}

/// Replaces the program of this process. Does not return. See `execve(2)`.
///
/// A name without a slash is looked for in the `PATH` of `environment`.
/// - Parameter input: what its standard input holds, where that is to be told.
/// - Throws: 127 where the command is not there, 126 where it cannot be executed.
public func execute(
    _ arguments: [String], environment: [String], input: String? = nil, why: StaticString
) throws(KernelError) -> Never {
    let command = arguments.first ?? ""
    var denied: KernelError?
    for path in candidates(for: command, in: environment) {
        do {
            try execute(path, arguments, environment, input, why)
        } catch {
            let missing = error.errno == .noSuchFile || error.errno == .notDirectory
            if missing && !contains(command, "/") { continue }
            denied = denied ?? error
            // A directory that we may not search does not end the search; see execvp(3).
            if error.errno != .accessDenied { break }
        }
    }
    throw explain(denied?.errno ?? .noSuchFile, command, environment)
}

/// Looks whether ``execute(_:environment:input:why:)`` would find something to execute.
/// - Throws: what that would throw where there is nothing.
public func checkCommand(_ arguments: [String], environment: [String]) throws(KernelError) {
    let command = arguments.first ?? ""
    var denied: Errno?
    for path in candidates(for: command, in: environment) {
        if fileType(path) == .directory {
            denied = denied ?? .accessDenied
        } else if faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 {
            return
        } else if current_errno() != ENOENT && current_errno() != ENOTDIR {
            denied = denied ?? .current
        }
    }
    throw explain(denied ?? .noSuchFile, command, environment)
}

private func execute(
    _ path: String, _ arguments: [String], _ environment: [String], _ input: String?,
    _ why: StaticString
) throws(KernelError) -> Never {
    // Tried quietly first: the one call that succeeds cannot be told afterwards.
    if access(path, F_OK) < 0 { throw KernelError("execve", path, .current) }
    if Narrator.isOn { narrateExecution(path, arguments, environment.count, input, why) }
    var argv = arguments.map { strdup($0) } + [nil]
    var envp = environment.map { strdup($0) } + [nil]
    _ = execve(path, &argv, &envp)
    throw KernelError("execve", path, .current)
}

private func narrateExecution(
    _ path: String, _ arguments: [String], _ variables: Int, _ input: String?,
    _ why: StaticString
) {
    let list = arguments.map { Argument.text($0).rendered }.joined(separator: ", ")
    Narrator.record(
        Event(
            call: "execve",
            arguments: [
                .text(path), .symbol("[\(list)]"),
                .symbol("/* \(variables) var\(variables == 1 ? "" : "s") */"),
            ],
            result: 0, errno: nil, why: why,
            shell: arguments.map(quoteShell).joined(separator: " ")
                + (input.map { " <<'INPUT'\n\($0)\nINPUT" } ?? "")))
}

/// The files that `command` may mean, in the order in which they are looked for. See `execvp(3)`.
public func candidates(for command: String, in environment: [String]) -> [String] {
    if command.isEmpty { return [] }
    if contains(command, "/") { return [command] }
    return searchPath(environment).map { $0.isEmpty ? command : "\($0)/\(command)" }
}

private func searchPath(_ environment: [String]) -> [String] {
    for variable in environment where variable.hasPrefix("PATH=") {
        return split(String(variable.dropFirst(5)), at: ":")
    }
    return ["/usr/bin", "/bin"]
}

private func explain(_ errno: Errno, _ command: String, _ environment: [String]) -> KernelError {
    let missing = errno == .noSuchFile || errno == .notDirectory
    let remedy: String
    switch errno {
    case _ where missing && !contains(command, "/"):
        remedy =
            "It is in no directory of the sandbox's PATH ("
            + join(searchPath(environment), with: ":") + ")."
    case _ where missing && access(command, F_OK) == 0:
        remedy = "It is there, but the interpreter or the loader that it names is not."
    case _ where missing: remedy = "The path counts inside the sandbox."
    case .accessDenied: remedy = "Is it a regular file with its execute bits set (chmod +x)?"
    case .notExecutable: remedy = "It is no program for this machine, or a script without #!."
    default: remedy = ""
    }
    return KernelError(
        "execute", command.isEmpty ? "an empty command" : command, errno, remedy: remedy,
        exitCode: missing ? ExitCode.notFound : ExitCode.cannotExecute)
}
