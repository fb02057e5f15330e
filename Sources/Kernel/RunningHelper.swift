import CLinux
import Glibc

/// A program of others that does for us what we cannot, or need not, do ourselves.
public struct HelperProgram: Sendable {
    /// Where it is.
    public let path: String

    /// Looks in `PATH`, and in the directories that an ordinary user's lacks.
    /// - Returns: nil where this machine has none.
    public init?(_ name: String) {
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        let usual = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        for directory in split(path, at: ":") + usual where !directory.isEmpty {
            if access("\(directory)/\(name)", X_OK) == 0 {
                self.path = "\(directory)/\(name)"
                return
            }
        }
        return nil
    }

    /// Runs it to its end.
    /// - Throws: `EIO` with the last line that it wrote, where its exit code is not 0.
    public func run(_ arguments: [String], why: StaticString) throws(KernelError) {
        let result = try runHelper([path] + arguments, input: "", keeping: -1, why: why)
        guard result.code != 0 else { return }
        let lines = split(result.errors, at: "\n").filter { !$0.isEmpty }
        throw KernelError(
            "run", path, .inputOutput, remedy: lines.last.map { "It says: \($0)" } ?? "")
    }

    /// Starts it; it is killed when this process dies.
    ///
    /// - Parameter errors: where its standard output and error go; nowhere if nil.
    public func start(
        _ arguments: [String], errors: CInt?, why: StaticString
    ) throws(KernelError) -> RunningHelper {
        let words = [path] + arguments
        var list = clone_args()
        list.exit_signal = UInt64(SIGCHLD)
        let child = try systemCall(
            "posix_spawn",
            [.text(path), .symbol("[\(words.map(quoteShell).joined(separator: ", "))]")],
            on: path, why: why, shell: words.map(quoteShell).joined(separator: " ")
        ) {
            let child = clone3(&list, MemoryLayout<clone_args>.size)
            if child == 0 { become(words, errors) }
            return child
        }
        return RunningHelper(process: ProcessID(rawValue: child))
    }

    private func become(_ words: [String], _ errors: CInt?) -> Never {
        Narrator.stop()
        _ = prctl_set(CInt(linux_PR_SET_PDEATHSIG), UInt(SIGKILL))
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        dup2(null, 0)
        dup2(errors ?? null, 1)
        dup2(errors ?? null, 2)
        reset_signal_handlers()
        _ = set_signal_mask(0)
        var argv = words.map { strdup($0) } + [nil]
        execv(path, &argv)
        _exit(127)
    }
}

/// A program that goes on working for us.
public struct RunningHelper: Sendable {
    /// Its process, a child of this one.
    public let process: ProcessID

    /// Sleeps until it has ended, `descriptor` can be read, or the time is up.
    ///
    /// - Returns: whether it still runs.
    public func waits(for descriptor: CInt = -1, milliseconds: CInt = -1) -> Bool {
        let handle = Descriptor(owning: pidfd_open(process.rawValue, 0))
        var requests = [handle.number, descriptor].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        while poll(&requests, 2, milliseconds) < 0 && current_errno() == EINTR {}
        return requests[0].revents == 0
    }

    /// Ends it, unless somebody has seen it end.
    public func stop() throws(KernelError) {
        guard waitpid(process.rawValue, nil, WNOHANG) == 0 else { return }
        kill(process.rawValue, SIGTERM)
        _ = try wait(for: process)
    }
}
