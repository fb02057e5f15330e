import Isolation
import Kernel
import Terminal

/// Stage 2: process numbers of its own.
@main enum Main {
    private static let command = Command(
        "stage02-pid", "ROOTFS COMMAND [ARG...]",
        "Run COMMAND with ROOTFS as its root directory, in a PID namespace with its own /proc.",
        options: [.explain, .initProcess])

    static func main() {
        Program.run { arguments throws(KernelError) in
            guard let call = try StageCall(command, arguments) else { return 0 }
            // book: begin stage02-list
            var sandbox = Sandbox(
                [
                    HostMountGuard(
                        on: call.rootfs + "/proc", notesIn: StateDirectories().hostMounts),
                    ChangeRoot(to: call.rootfs),
                    PIDNamespace(),
                    ProcFilesystem(),
                ],
                running: call.process)
            // book: end stage02-list
            return try sandbox.run().code
        }
    }
}
