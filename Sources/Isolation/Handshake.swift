import CLinux
import Glibc
import Kernel

/// The conversation between the owner of a sandbox and the process that becomes it.
///
///     host                                   sandbox
///     ────                                   ───────
///     clone3 ─────────────────────────────▶  born
///     adopt: id maps, cgroups, links         enter: what does not depend on these; waits
///     ──────────────── go ────────────────▶
///                                            enter: mounts, names
///     ◀────────── reached(mechanism) ──────  only for one that needs the host
///     assist: hooks
///     ──────────────── go ────────────────▶
///     ◀────────── terminal(master) ────────  only with -t
///                                            seal: user, capabilities, filters
///     ◀────────── watch(listener) ─────────  only with a supervised call
///     ◀────────── ready ───────────────────  only if it is to wait at a gate
///                                            execve
///     ◀────────── end of file ─────────────  it worked: close-on-exec closed the channel
///       or
///     ◀────────── failed(error) ───────────  it did not
///
/// If the host dies, the sandbox reads end of file instead of `go` and ends.
/// The channel is a pair of sockets that keep messages apart. See `unix(7)`, `SOCK_SEQPACKET`.
struct Handshake: ~Copyable {
    private var host: Descriptor?
    private var sandbox: Descriptor?

    init() throws(KernelError) {
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw KernelError("socketpair", "the handshake", .current)
        }
        host = Descriptor(owning: ends[0])
        sandbox = Descriptor(owning: ends[1])
    }

    /// For the owner; the other end is closed, so that its end of file can be seen.
    consuming func takeHostEnd() -> HostEnd {
        sandbox = nil
        return HostEnd(channel: Channel(host.take()))
    }

    /// For the child; the other end is closed, for the same reason.
    consuming func takeSandboxEnd() -> SandboxEnd {
        host = nil
        return SandboxEnd(channel: Channel(sandbox.take()))
    }
}

/// The owner's end of the ``Handshake``.
struct HostEnd: ~Copyable {
    fileprivate let channel: Channel

    /// Tells the sandbox that everything outside is ready.
    ///
    /// One that has failed meanwhile is not there to hear it; what it has to say comes next.
    func letGo() throws(KernelError) {
        do { try channel.send(.go) } catch  where error.errno == .brokenPipe {}
    }

    /// What the sandbox has failed with, if it has; does not wait.
    func failureSoFar() throws(KernelError) -> KernelError? {
        var request = pollfd(fd: channel.socket.number, events: Int16(POLLIN), revents: 0)
        guard poll(&request, 1, 0) > 0, case .failed(let error) = try channel.receive() else {
            return nil
        }
        return error
    }

    /// Waits until the command runs, or waits at its gate.
    ///
    /// - Parameters:
    ///   - assist: is told which mechanism the sandbox waits in the middle of.
    ///   - attend: is given what a mechanism watches the sandbox by, and which one it is.
    /// - Returns: the master end of the sandbox's terminal, where it has one.
    /// - Throws: what kept the command from running, as the sandbox reported it.
    func awaitExecution(
        assist: (Int) throws(KernelError) -> Void,
        attend: (Int, consuming Descriptor) throws(KernelError) -> Void
    ) throws(KernelError) -> Descriptor? {
        var terminal: Descriptor?
        while let message = try channel.receive() {
            switch message {
            case .terminal(let number): terminal = Descriptor(owning: number)
            case .watch(let index, let number): try attend(index, Descriptor(owning: number))
            case .reached(let index):
                try assist(index)
                try letGo()
            case .failed(let error): throw error
            case .ready: return terminal
            case .go: break
            }
        }
        return terminal
    }
}

/// The sandbox's end of the ``Handshake``.
struct SandboxEnd: ~Copyable {
    fileprivate let channel: Channel

    /// The descriptor that the sandbox needs until it executes the command.
    var number: CInt { channel.socket.number }

    /// Waits until the owner has done its part; ends the process where the owner is gone.
    func awaitPermission() throws(KernelError) {
        guard case .go = try channel.receive() else { _exit(ExitCode.ours) }
    }

    /// Has the owner assist the mechanism at `index` of the list, and waits meanwhile.
    func awaitAssistance(in index: Int) throws(KernelError) {
        try channel.send(.reached(index))
        try awaitPermission()
    }

    /// Tells the owner that nothing is left to be done but to start.
    func becomeReady() throws(KernelError) { try channel.send(.ready) }

    /// Hands the owner the master end of this sandbox's terminal.
    func send(terminal: borrowing Descriptor) throws(KernelError) {
        try channel.send(.terminal(terminal.number))
    }

    /// Hands the owner what the mechanism at `index` of the list watches this sandbox by.
    func send(watch: CInt, of index: Int) throws(KernelError) {
        try channel.send(.watch(index, watch))
    }

    /// Ends the process where the owner has gone since.
    func endIfOwnerIsGone() {
        var request = pollfd(fd: channel.socket.number, events: 0, revents: 0)
        if poll(&request, 1, 0) > 0 { _exit(ExitCode.ours) }
    }

    /// Tells the owner why the command does not run, and ends the process.
    func fail(with error: KernelError) -> Never {
        // If that cannot be told, the exit code still says it.
        do { try channel.send(.failed(error)) } catch {}
        _exit(error.exitCode)
    }
}

/// What the two say to each other.
private enum Message {
    case go
    case terminal(CInt)
    case watch(Int, CInt)
    case reached(Int)
    case ready
    case failed(KernelError)
}

/// Messages over a socket: one byte that tells which, then an error's parts.
private struct Channel: ~Copyable {
    let socket: Descriptor
    static let longest = 1 << 15

    init(_ socket: consuming Descriptor?) {
        // An end is taken once; -1 would make every later call say so.
        self.socket = socket ?? Descriptor(owning: -1)
    }

    func send(_ message: Message) throws(KernelError) {
        let sent: Int
        switch message {
        case .go: sent = send([0], with: -1)
        case .terminal(let number): sent = send([1], with: number)
        case .watch(let index, let number): sent = send([3, UInt8(index)], with: number)
        case .reached(let index): sent = send([4, UInt8(index)], with: -1)
        case .ready: sent = send([5], with: -1)
        case .failed(let error): sent = send([2] + encode(error), with: -1)
        }
        if sent < 0 { throw KernelError("sendmsg", "the handshake", .current) }
    }

    /// The next message; nil at the end of the conversation.
    func receive() throws(KernelError) -> Message? {
        var descriptor: CInt = -1
        var failure: Errno?
        let bytes = [UInt8](unsafeUninitializedCapacity: Channel.longest) { buffer, count in
            var received = -1
            repeat {
                received = receive_with_descriptor(
                    socket.number, buffer.baseAddress, buffer.count, &descriptor)
                // Who ended without hearing us out is told by an error, once; what it had sent
                // before that is still there.
            } while received < 0 && (current_errno() == EINTR || current_errno() == ECONNRESET)
            if received < 0 { failure = .current }
            count = max(received, 0)
        }
        if let failure { throw KernelError("recvmsg", "the handshake", failure) }
        switch bytes.first {
        case 0: return .go
        case 1: return .terminal(descriptor)
        case 2: return .failed(decode(bytes.dropFirst()))
        case 3: return .watch(Int(bytes.last ?? 0), descriptor)
        case 4: return .reached(Int(bytes.last ?? 0))
        case 5: return .ready
        default: return nil
        }
    }

    private func send(_ bytes: [UInt8], with descriptor: CInt) -> Int {
        send_with_descriptor(socket.number, bytes, bytes.count, descriptor)
    }

    /// Numbers in decimal and texts, separated by NUL, which no text of the kernel's can hold.
    private func encode(_ error: KernelError) -> [UInt8] {
        let parts = [
            "\(error.errno.rawValue)", "\(error.exitCode)", error.operation, error.object,
            error.remedy,
        ]
        return Array(parts.map { $0.utf8.prefix(4096) }.joined(separator: [0]))
    }

    private func decode(_ bytes: ArraySlice<UInt8>) -> KernelError {
        let parts = bytes.split(separator: 0, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        guard parts.count == 5, let errno = Int32(parts[0]), let code = Int32(parts[1]) else {
            return KernelError("recvmsg", "the handshake", Errno(rawValue: EBADMSG))
        }
        return KernelError(
            parts[2], parts[3], Errno(rawValue: errno), remedy: parts[4], exitCode: code)
    }
}
