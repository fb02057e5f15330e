import CLinux
import Glibc

/// A set of signals. See `signal(7)`.
public struct SignalSet: Sendable {
    /// Bit n-1 stands for signal n, as in /proc/PID/status.
    public let mask: UInt64

    /// The signals given by number.
    public init(_ signals: [Int32]) { mask = signals.reduce(0) { $0 | 1 << UInt64($1 - 1) } }

    /// No signal at all.
    public static let none = SignalSet([])
}

/// A signal that was waiting, and where it came from.
public struct PendingSignal: Sendable {
    /// Its number.
    public let number: Int32
    /// Whether the kernel sent it, as a terminal does for its keys, and not a process.
    public let isFromKernel: Bool
}

/// Holds signals back from their usual effect, to be read from a descriptor instead.
///
/// See `sigprocmask(2)` and `signalfd(2)`.
public struct SignalQueue: ~Copyable {
    /// Readable when a signal waits.
    public let descriptor: Descriptor

    /// Blocks `signals` and opens a queue for them.
    public init(of signals: SignalSet) throws(KernelError) {
        try setBlockedSignals(signals)
        let number = signalfd_for(signals.mask, CInt(linux_SFD_CLOEXEC | linux_SFD_NONBLOCK))
        guard number >= 0 else { throw KernelError("signalfd", "", .current) }
        descriptor = Descriptor(owning: number)
    }

    /// The next signal that waits, if any.
    public borrowing func next() -> PendingSignal? {
        var code: CInt = 0
        var sender: pid_t = 0
        let number = signalfd_next(descriptor.number, &code, &sender)
        guard number > 0 else { return nil }
        return PendingSignal(number: number, isFromKernel: code == linux_SI_KERNEL)
    }
}

/// Replaces the set of signals that are held back. It survives `execve(2)`, so a
/// program has to be started with none. See `sigprocmask(2)`.
public func setBlockedSignals(_ signals: SignalSet) throws(KernelError) {
    if set_signal_mask(signals.mask) < 0 { throw KernelError("sigprocmask", "", .current) }
}

/// Gives every signal its default effect again, as a program expects at its start.
///
/// Ignored signals survive `execve(2)`: a sandbox started with SIGPIPE ignored would hand that
/// on. See `signal(2)`.
public func resetSignalHandlers() { reset_signal_handlers() }

/// Sends a signal to a process that this one has not waited for yet. See `kill(2)`.
///
/// - Returns: false where the process is gone.
@discardableResult
public func send(_ signal: Int32, to process: ProcessID) throws(KernelError) -> Bool {
    if kill(process.rawValue, signal) == 0 { return true }
    let errno = Errno.current
    if errno == .noSuchProcess { return false }
    throw KernelError("kill", "process \(process.rawValue)", errno)
}
