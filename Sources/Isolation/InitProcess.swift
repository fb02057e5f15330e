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
    func run() -> Never {
        // The command holds what it needs of these. Kept open here, the handshake would never
        // end, and locks of the host would outlive their owner.
        _ = close_range(3, UInt32.max, 0)
        // The command tells the same steps.
        Narrator.stop()
        do {
            for mechanism in mechanisms { try mechanism.seal(.initProcess) }
            // Nobody in the sandbox may look into this process: /proc/1/exe is a file of the
            // host. After sealing, which would make it readable again.
            _ = prctl_set(CInt(linux_PR_SET_DUMPABLE), 0)
            let signals = try SignalQueue(of: Supervisor.signals)
            while true {
                signals.descriptor.awaitInput()
                while let signal = signals.next() {
                    if signal.number == SIGCHLD {
                        try reapOrphans()
                    } else {
                        try send(signal.number, to: command)
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
