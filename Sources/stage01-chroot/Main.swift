import Isolation
import Kernel
import Terminal

/// Stage 1: another root directory.
@main enum Main {
    private static let command = Command(
        "stage01-chroot", "ROOTFS COMMAND [ARG...]",
        "Run COMMAND with ROOTFS as its root directory, and with nothing else.",
        options: [.explain])

    static func main() {
        Program.run { arguments throws(KernelError) in
            guard let call = try StageCall(command, arguments) else { return 0 }
            // book: begin stage01-list
            var sandbox = Sandbox([ChangeRoot(to: call.rootfs)], running: call.process)
            // book: end stage01-list
            return try sandbox.run().code
        }
    }
}
