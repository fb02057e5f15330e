import Isolation
import Kernel
import Terminal

/// Stage 6: a share of the machine and no more.
@main enum Main {
    private static let command = Command(
        "stage06-cgroups", "ROOTFS COMMAND [ARG...]",
        "Run COMMAND on an overlay over ROOTFS, in a cgroup that limits what it uses.",
        options: [.explain, .initProcess] + ContainerFilesystem.options + [
            Option("keep", nil, .required("DIR"), "Keep what is written, in DIR/upper.")
        ] + ContainerLimits.options)

    static func main() {
        Program.run { arguments throws(KernelError) in
            guard let call = try StageCall(command, arguments) else { return 0 }
            // book: begin stage06-list
            let root = OverlayRoot(
                lower: [try call.resolvedRootfs()],
                upper: call.options.value("keep").map { .kept(in: $0) }
                    ?? .throwAway(in: StateDirectories().scratch))
            let filesystem = try ContainerFilesystem(call.options)
            let group = try ContainerLimits(call.options).controlGroup()
            var sandbox = Sandbox(
                [group] + (try filesystem.mechanisms(on: root, in: group)), running: call.process)
            // book: end stage06-list
            return try sandbox.run().code
        }
    }
}
