import CLinux
import Glibc
import Kernel

/// Process 1 of a PID namespace, for commands that were not written to be one.
///
/// The kernel gives process 1 two duties. It becomes the parent of every orphan, and
/// has to wait for them, or they stay zombies for as long as the sandbox lives. And
/// a signal that it has no handler for does nothing to it: `sleep` as process 1
/// cannot be ended with Ctrl-C. See `pid_namespaces(7)`.
struct InitProcess {
    private let command: ProcessID

    private let mechanisms: [any Mechanism]

    init(caringFor command: ProcessID, behind mechanisms: [any Mechanism]) {
        self.command = command
        self.mechanisms = mechanisms
    }

    // book: begin init
    /// Forwards signals and reaps orphans until the command ends; then ends the same way.
    func run(watching channel: borrowing SandboxEnd) -> Never {
        // The command tells the same steps.
        Narrator.stop()
        // Nobody in the sandbox may look into this process: /proc/1/exe is a file of the host.
        becomeUndumpable()
        do {
            for mechanism in mechanisms { try mechanism.seal(.initProcess) }
            // Again: a change of user sets it to what /proc/sys/fs/suid_dumpable says.
            becomeUndumpable()
            channel.endIfOwnerIsGone()
            // The command holds what it needs of these. Kept open here, the handshake would
            // never end.
            _ = close_range(3, UInt32.max, 0)
            let signals = try SignalQueue(of: Supervisor.signals)
            while true {
                signals.descriptor.awaitInput()
                while let signal = signals.next() {
                    if signal.number == SIGCHLD {
                        try reapOrphans()
                    } else {
                        // It may have become another user, or a zombie; both are its own affair.
                        do { try send(signal.number, to: command) } catch {}
                    }
                }
            }
        } catch {
            _exit(ExitCode.ours)
        }
    }
    // book: end init

    // book: begin init-reap
    private func reapOrphans() throws(KernelError) {
        while let (process, status) = try reapAny() {
            // With process 1 the kernel kills what is left in its namespace.
            if process == command { _exit(status.code) }
        }
    }
    // book: end init-reap
}
