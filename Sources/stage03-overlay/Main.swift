import Isolation
import Kernel
import Terminal

/// Stage 3: mounts of its own, and a root in layers.
@main enum Main {
    private static let command = Command(
        "stage03-overlay", "ROOTFS COMMAND [ARG...]",
        "Run COMMAND in a mount namespace, on an overlay over ROOTFS that takes all writes.",
        options: [.explain, .initProcess, .keep] + ContainerFilesystem.options)

    static func main() {
        Program.run { arguments throws(KernelError) in
            guard let call = try StageCall(command, arguments) else { return 0 }
            // book: begin stage03-list
            let root = OverlayRoot(lower: [try call.resolvedRootfs()], upper: call.upper)
            let filesystem = try ContainerFilesystem(call.options)
            var sandbox = Sandbox(try filesystem.mechanisms(on: root), running: call.process)
            // book: end stage03-list
            return try sandbox.run().code
        }
    }
}
