import CLinux
import Glibc
import Kernel

/// Carries bytes between the user's terminal and the sandbox's.
///
/// The user's terminal is made raw: Ctrl-C and Ctrl-Z are then bytes like all others,
/// and the sandbox's terminal turns them into signals, for the sandbox's own jobs.
struct TerminalRelay: ~Copyable {
    private let master: Descriptor
    private let userHasTerminal: Bool
    private var original = termios()
    private var readsInput: Bool
    /// Typed, and not yet taken by the sandbox.
    private var pending: [UInt8] = []

    init(_ master: consuming Descriptor, readingInput: Bool) throws(KernelError) {
        self.master = master
        readsInput = readingInput
        userHasTerminal = isatty(0) == 1 && tcgetattr(0, &original) == 0
        // A sandbox that does not read must not keep us from carrying what it writes.
        _ = fcntl(self.master.number, F_SETFL, O_NONBLOCK)
        resize()
        if readingInput { makeRaw() }
    }

    private func makeRaw() {
        guard userHasTerminal else { return }
        var raw = original
        cfmakeraw(&raw)
        tcsetattr(0, TCSADRAIN, &raw)
    }

    /// Gives the user's terminal its own settings back.
    func restore() {
        guard userHasTerminal else { return }
        var settings = original
        tcsetattr(0, TCSADRAIN, &settings)
    }

    /// Makes the sandbox's terminal as large as the user's.
    func resize() { copyWindowSize(to: master) }

    /// Stops, as the user's shell asked, with its terminal in order, and goes on when it says so.
    func suspend() throws(KernelError) {
        restore()
        raise(SIGSTOP)
        if readsInput { makeRaw() }
        resize()
    }

    /// Carries bytes until `other` has something to read.
    mutating func carry(until other: borrowing Descriptor) throws(KernelError) {
        while true {
            var requests = [
                pollfd(fd: other.number, events: Int16(POLLIN), revents: 0),
                pollfd(fd: master.number, events: masterEvents, revents: 0),
                pollfd(fd: wantsInput ? 0 : -1, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&requests, 3, -1) > 0 else { continue }
            if requests[1].revents != 0 { carryOutput() }
            if requests[2].revents != 0 { takeInput() }
            sendInput()
            if requests[0].revents != 0 { return }
            // Hung up, with the sandbox still running: nothing more to carry.
            if requests[1].revents & Int16(POLLIN | POLLHUP) == Int16(POLLHUP) {
                return other.awaitInput()
            }
        }
    }

    /// Carries what the sandbox wrote last.
    func drain() {
        while carryOutput() {}
    }

    private var wantsInput: Bool { readsInput && pending.isEmpty }

    private var masterEvents: Int16 { Int16(pending.isEmpty ? POLLIN : POLLIN | POLLOUT) }

    /// - Returns: whether there was anything.
    @discardableResult
    private func carryOutput() -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 1 << 14, alignment: 1) { buffer in
            let count = read(master.number, buffer.baseAddress, buffer.count)
            guard count > 0 else { return false }
            var done = 0
            while done < count {
                let put = write(1, buffer.baseAddress.map { $0 + done }, count - done)
                if put < 0 && current_errno() != EINTR { return false }
                done += max(put, 0)
            }
            return true
        }
    }

    private mutating func takeInput() {
        pending = [UInt8](unsafeUninitializedCapacity: 1 << 12) { buffer, count in
            count = max(0, read(0, buffer.baseAddress, buffer.count))
        }
        // The end of a terminal's input is told to the reader as Ctrl-D is.
        if pending.isEmpty {
            readsInput = false
            pending = [4]
        }
    }

    private mutating func sendInput() {
        guard !pending.isEmpty else { return }
        let sent = write(master.number, pending, pending.count)
        if sent > 0 { pending.removeFirst(sent) }
    }
}

/// Makes a terminal so large. See `ioctl_tty(2)`, `TIOCSWINSZ`.
func setWindowSize(of terminal: borrowing Descriptor, to size: TerminalSize) {
    var size = winsize(ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0)
    _ = ioctl(terminal.number, UInt(TIOCSWINSZ), &size)
}

/// Gives a terminal the size of the one that standard input, output or error is.
/// See `ioctl_tty(2)`, `TIOCSWINSZ`.
func copyWindowSize(to terminal: borrowing Descriptor) {
    var size = winsize()
    for descriptor: CInt in 0...2 where ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 {
        _ = ioctl(terminal.number, UInt(TIOCSWINSZ), &size)
        return
    }
}
