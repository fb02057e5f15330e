import CLinux
import Glibc
import Kernel

/// The owner's part while the command runs: pass signals on, carry the terminal, wait.
struct Supervisor: ~Copyable {
    /// What is passed on to the sandbox, and the news that it has ended.
    static let signals = SignalSet(forwarded + [SIGCHLD, SIGTSTP])
    private static let forwarded = [
        SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGWINCH, SIGCONT,
    ]

    /// The sandbox.
    let child: ProcessID
    private let process: SandboxedProcess
    private let signals: SignalQueue
    private var interrupts = 0

    init(
        of child: ProcessID, running process: SandboxedProcess, signals: consuming SignalQueue
    ) {
        self.child = child
        self.process = process
        self.signals = signals
    }

    /// Waits for the sandbox to end.
    ///
    /// - Parameter terminal: the master end of its terminal, where it has one.
    mutating func wait(relaying terminal: consuming Descriptor?) throws(KernelError) -> ExitStatus {
        guard let terminal else { return try wait() }
        var relay = try TerminalRelay(terminal, readingInput: process.readsInput)
        defer { relay.restore() }
        while true {
            try relay.carry(until: signals.descriptor)
            if let status = try handleSignals(&relay) {
                relay.drain()
                return status
            }
        }
    }

    private mutating func wait() throws(KernelError) -> ExitStatus {
        while true {
            signals.descriptor.awaitInput()
            while let signal = signals.next() {
                if let status = try handle(signal) { return status }
            }
        }
    }

    /// Ends a sandbox that could not be completed.
    func killAndReap() throws(KernelError) {
        try send(SIGKILL, to: child)
        _ = try Kernel.wait(for: child)
    }

    private mutating func handleSignals(
        _ relay: inout TerminalRelay
    ) throws(KernelError) -> ExitStatus? {
        while let signal = signals.next() {
            switch signal.number {
            case SIGWINCH: relay.resize()
            case SIGTSTP: try relay.suspend()
            case SIGCONT: break
            default: if let status = try handle(signal) { return status }
            }
        }
        return nil
    }

    /// - Returns: how the sandbox ended, once it has.
    private mutating func handle(_ signal: PendingSignal) throws(KernelError) -> ExitStatus? {
        switch signal.number {
        case SIGCHLD: return try childStatus()
        case SIGTSTP:
            // The sandbox shares our terminal and has had the signal too.
            raise(SIGSTOP)
        default: try forward(signal)
        }
        return nil
    }

    /// A key such as Ctrl-C reaches every process of the terminal's foreground group by itself;
    /// only a sandbox in a session of its own has to be told.
    private mutating func forward(_ signal: PendingSignal) throws(KernelError) {
        if signal.number == SIGINT && signal.isFromKernel { interrupts += 1 }
        if interrupts == 3 {
            // Process 1 ignores what it has no handler for; the user must not be stuck with it.
            try send(SIGKILL, to: child)
        } else if process.hasOwnSession || !signal.isFromKernel {
            try send(signal.number, to: child)
        }
    }

    private func childStatus() throws(KernelError) -> ExitStatus? {
        // One signal may stand for several children, and a mechanism may have one too.
        while let (process, status) = try reapAny() { if process == child { return status } }
        return nil
    }
}

extension Descriptor {
    /// Sleeps until there is something to read. See `poll(2)`.
    borrowing func awaitInput() {
        var request = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
        _ = poll(&request, 1, -1)
    }
}
