import Isolation
import Kernel
import Terminal

/// Stage 4: a network of its own.
@main enum Main {
    private static let command = Command(
        "stage04-network", "ROOTFS COMMAND [ARG...]",
        "Run COMMAND as stage 3 does, in a network of its own.",
        options: [.explain, .initProcess] + ContainerFilesystem.options
            + ContainerNetwork.options + [
                Option("keep", nil, .required("DIR"), "Keep what is written, in DIR/upper.")
            ])

    static func main() {
        Program.run { arguments throws(KernelError) in
            guard let call = try StageCall(command, arguments) else { return 0 }
            // book: begin stage04-list
            let root = OverlayRoot(
                lower: [try call.resolvedRootfs()],
                upper: call.options.value("keep").map { .kept(in: $0) }
                    ?? .throwAway(in: StateDirectories().scratch))
            let filesystem = try ContainerFilesystem(call.options)
            let network = try ContainerNetwork(call.options)
            let files = network.files()
            let list =
                try network.mechanisms(files) + filesystem.mechanisms(on: root, showing: files)
            var sandbox = Sandbox(list, running: call.process)
            // book: end stage04-list
            return try sandbox.run().code
        }
    }
}
