import Isolation
import Kernel
import Terminal

/// Stage 5: names, ids and clocks of its own.
@main enum Main {
    private static let command = Command(
        "stage05-identity", "ROOTFS COMMAND [ARG...]",
        "Run COMMAND with a host name, shared memory, user ids and clocks of its own.",
        options: [.explain, .initProcess] + ContainerFilesystem.options
            + ContainerIdentity.options + [
                Option("keep", nil, .required("DIR"), "Keep what is written, in DIR/upper.")
            ])

    static func main() {
        Program.run { arguments throws(KernelError) in
            guard let call = try StageCall(command, arguments) else { return 0 }
            // book: begin stage05-list
            let identity = try ContainerIdentity(call.options)
            let root = OverlayRoot(
                lower: [try call.resolvedRootfs()],
                upper: call.options.value("keep").map { .kept(in: $0) }
                    ?? .throwAway(in: StateDirectories().scratch),
                mapsOwners: identity.hasUserNamespace)
            var filesystem = try ContainerFilesystem(call.options)
            if identity.hasUserNamespace { filesystem.isInUserNamespace = true }
            var sandbox = Sandbox(
                identity.first + (try filesystem.mechanisms(on: root))
                    + (try identity.mechanisms(named: "sandbox")),
                running: call.process)
            // book: end stage05-list
            return try sandbox.run().code
        }
    }
}
