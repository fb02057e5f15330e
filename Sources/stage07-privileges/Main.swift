import Isolation
import Kernel
import Terminal

/// Stage 7: no more privileges than it needs.
@main enum Main {
    private static let command = Command(
        "stage07-privileges", "ROOTFS COMMAND [ARG...]",
        "Run COMMAND in a mount namespace, on an overlay over ROOTFS that takes all writes.",
        options: [.explain, .initProcess] + ContainerFilesystem.options
            + ContainerPrivileges.options + [
                Option("keep", nil, .required("DIR"), "Keep what is written, in DIR/upper.")
            ], notes: ContainerPrivileges.notes)

    static func main() {
        Program.run { arguments throws(KernelError) in
            guard let call = try StageCall(command, arguments) else { return 0 }
            // book: begin stage07-list
            try RuntimeProgram.protect()
            let privileges = try ContainerPrivileges(call.options)
            let root = OverlayRoot(
                lower: [try call.resolvedRootfs()],
                upper: call.options.value("keep").map { .kept(in: $0) }
                    ?? .throwAway(in: StateDirectories().scratch),
                context: privileges.seLinux?.files)
            var filesystem = try ContainerFilesystem(call.options)
            filesystem.hasMasks = !privileges.isPrivileged
            let list = try filesystem.mechanisms(on: root) + privileges.mechanisms()
            var sandbox = Sandbox(list, running: privileges.process(call.process))
            // book: end stage07-list
            return try sandbox.run().code
        }
    }
}
