import CLibseccomp
import CLinux
import Glibc
import Kernel
import OCISpec

/// Directories that the sandbox asks for are made by its owner (`--security-opt notify=mkdir`).
/// See `seccomp_unotify(2)`.
///
/// A filter can do more than allow and deny. It can put the caller to sleep and ask: whoever
/// holds the filter's *listener* is told the call, does what it thinks right, in its own
/// process and with its own privileges, and says what the call has returned. So a container may
/// be given one particular mount, or one particular device, without any capability.
///
/// This one is an example: it makes directories below one place, as the user who asks, and
/// says so. The filter is a second one, behind that of ``SeccompFilter``; of two answers the
/// kernel takes the stricter.
public final class SupervisedCalls: Mechanism {
    /// As the narrator calls it.
    public let name = "supervised mkdir"
    private let directory: String
    private var program: [UInt8] = []
    private var listener: CInt?

    /// - Parameter directory: where directories may be made, absolute, in the sandbox.
    public init(below directory: String) { self.directory = directory }

    /// What the owner gets out of the sandbox.
    public var watch: CInt? { listener }

    /// Makes the filter: ask for two calls, let all others pass.
    public func prepare() throws(KernelError) {
        var profile = try SeccompFilter.standardProfile()
        profile.defaultAction = .allow
        profile.rules = [SeccompRule(["mkdir", "mkdirat"], .notify)]
        var compiler = try SeccompCompiler(profile, for: [], named: name)
        program = try compiler.program()
    }

    // book: begin notify-seal
    /// Only the command asks; our init makes no directories.
    public func seal(_ process: SealedProcess) throws(KernelError) {
        guard process == .command else { return }
        listener = try setSystemCallFilter(
            program, wantsListener: true, why: "the owner answers for these calls")?.release()
    }
    // book: end notify-seal

    /// Leaves the answering to a process of its own. It goes when the last of those has gone that
    /// could ask; and they go with the owner.
    public func attend(_ listener: consuming Descriptor) throws(KernelError) {
        if try clone(into: [], why: "it answers for the calls that the sandbox asks about") != nil {
            return
        }
        Narrator.stop()
        do {
            try setGroups([], why: "the owner's groups are not the caller's")
            try closeDescriptors(but: [listener.number], why: "the owner's files are not its own")
            CallSupervisor(listener, below: directory).run()
        } catch {
            _exit(ExitCode.ours)
        }
    }
}

/// The process that answers.
private struct CallSupervisor: ~Copyable {
    private let listener: Descriptor
    private let directory: String

    init(_ listener: consuming Descriptor, below directory: String) {
        self.listener = listener
        self.directory = directory
    }

    // book: begin notify-run
    /// Answers until nobody is left who could ask.
    func run() -> Never {
        while listener.awaitRequest() {
            guard let request = CallRequest(on: listener) else { continue }
            do {
                try makeDirectory(for: request)
                seccomp_answer(listener.number, request.id, 0, 0)
            } catch {
                seccomp_answer(listener.number, request.id, 0, -error.errno.rawValue)
            }
        }
        _exit(0)
    }
    // book: end notify-run

    // book: begin notify-mkdir
    /// What is asked for stands in the memory of a process that may change it, and that may end
    /// at any moment and leave its number to another. So all of it is read and opened first;
    /// then the kernel is asked whether the number still is the one that asked.
    private func makeDirectory(for request: CallRequest) throws(KernelError) {
        let path = try request.path()
        let caller = try Caller(request.process)
        guard seccomp_is_valid(listener.number, request.id) == 0 else {
            throw KernelError("mkdir", path, .current)
        }
        do throws(KernelError) {
            try makeDirectory(path, mode: request.mode, for: caller)
            report("made", path, request)
        } catch {
            report(error.errno.meaning, path, request)
            throw error
        }
    }
    // book: end notify-mkdir

    private func makeDirectory(
        _ path: String, mode: mode_t, for caller: borrowing Caller
    ) throws(KernelError) {
        let parts = split(path, at: "/").filter { !$0.isEmpty && $0 != "." }
        let allowed = split(directory, at: "/").filter { !$0.isEmpty }
        guard let name = parts.last else { throw KernelError("mkdir", path, .fileExists) }
        // ".." would make the comparison worthless; the example does without.
        guard !parts.contains(".."), parts.count > allowed.count,
            Array(parts.prefix(allowed.count)) == allowed
        else { throw KernelError("mkdir", path, .accessDenied) }
        let place = try Descriptor.openBeneath(
            join(allowed, with: "/"), O_RDONLY | O_DIRECTORY, at: caller.root.number)
        // From there on no link is followed, wherever the sandbox may have put one.
        let parent = try Descriptor.openBeneath(
            join(Array(parts.dropFirst(allowed.count).dropLast()), with: "/"),
            O_RDONLY | O_DIRECTORY, at: place.number)
        try caller.act { mkdirat(parent.number, name, mode & ~caller.mask) }
    }

    private func report(_ outcome: String, _ path: String, _ request: CallRequest) {
        let line = KernelError("supervised mkdir", path, Errno(rawValue: 0), remedy: "").description
        var text = "\(line.prefix { $0 != ":" }), asked by process \(request.process): \(outcome)\n"
        _ = text.withUTF8 { Glibc.write(2, $0.baseAddress, $0.count) }
    }
}

/// A call that somebody waits in.
private struct CallRequest {
    let id: UInt64
    let process: pid_t
    private let directory: CInt
    private let address: UInt64
    let mode: mode_t

    /// The next one; nil where it was taken back, as by a signal.
    init?(on listener: borrowing Descriptor) {
        var id: UInt64 = 0
        var process: UInt32 = 0
        var number: CInt = 0
        var arguments: [UInt64] = [0, 0, 0, 0, 0, 0]
        guard seccomp_receive(listener.number, &id, &process, &number, &arguments) == 0 else {
            return nil
        }
        let isRelative = number == seccomp_syscall_resolve_name("mkdirat")
        self.id = id
        self.process = pid_t(process)
        directory = isRelative ? CInt(truncatingIfNeeded: arguments[0]) : AT_FDCWD
        address = arguments[isRelative ? 1 : 0]
        mode = mode_t(truncatingIfNeeded: arguments[isRelative ? 2 : 1]) & 0o7777
    }

    /// The path, made absolute.
    func path() throws(KernelError) -> String {
        let text = try readMemory()
        if text.hasPrefix("/") { return text }
        if text.isEmpty { throw KernelError("mkdir", "\"\"", .noSuchFile) }
        let start = directory == AT_FDCWD ? "cwd" : "fd/\(directory)"
        return try linkTarget("/proc/\(process)/\(start)") + "/" + text
    }

    private func readMemory() throws(KernelError) -> String {
        let memory = try Descriptor.open("/proc/\(process)/mem", O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: 4096)
        // As much as there is: the string may end just before a page that does not exist.
        let count = pread(memory.number, &bytes, bytes.count, Int(truncatingIfNeeded: address))
        guard count > 0, let end = bytes.prefix(count).firstIndex(of: 0) else {
            throw KernelError("mkdir", "the path", Errno(rawValue: EFAULT))
        }
        return String(decoding: bytes.prefix(end), as: UTF8.self)
    }
}

/// Who asks: its root, and as whom it would make files.
private struct Caller: ~Copyable {
    let root: Descriptor
    let mask: mode_t
    private let user: uid_t
    private let group: gid_t

    init(_ process: pid_t) throws(KernelError) {
        let place = try Descriptor.open("/proc/\(process)/root", CInt(linux_O_PATH) | O_DIRECTORY)
        let status = split(try readText("/proc/\(process)/status"), at: "\n")
        func field(_ name: String) -> String? {
            let line = status.first { $0.hasPrefix(name + ":") } ?? ""
            return split(line, at: "\t").last
        }
        // The last of the four numbers counts for files.
        user = field("Uid").flatMap { uid_t($0) } ?? uid_t.max
        group = field("Gid").flatMap { gid_t($0) } ?? gid_t.max
        mask = field("Umask").flatMap { mode_t($0, radix: 8) } ?? 0o22
        root = place
    }

    /// Does something as that user, as far as files are concerned. See `setfsuid(2)`.
    func act(_ body: () -> CInt) throws(KernelError) {
        umask(0)
        set_file_ids(user, group)
        let result = body()
        let errno = Errno.current
        set_file_ids(0, 0)
        if result < 0 { throw KernelError("mkdirat", "a directory", errno) }
    }
}

extension Descriptor {
    /// Waits for a request; false where there will be none any more.
    fileprivate borrowing func awaitRequest() -> Bool {
        var request = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        repeat { request.revents = 0 } while poll(&request, 1, -1) < 0
        return request.revents & Int16(POLLIN) != 0
    }
}
