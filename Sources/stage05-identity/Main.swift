import Isolation
import Kernel
import Terminal

/// Stage 5: names, ids and clocks of its own.
@main enum Main {
    private static let command = Command(
        "stage05-identity", "ROOTFS COMMAND [ARG...]",
        "Run COMMAND as stage 4 does, with a host name, shared memory, ids and clocks of its own.",
        options: [.explain, .initProcess, .keep] + ContainerFilesystem.options
            + ContainerNetwork.options + ContainerIdentity.options)

    static func main() {
        Program.run { arguments throws(KernelError) in
            guard let call = try StageCall(command, arguments) else { return 0 }
            // book: begin stage05-list
            var parts = ContainerParts(try ContainerFilesystem(call.options))
            parts.network = try ContainerNetwork(call.options)
            parts.identity = try ContainerIdentity(call.options)
            // book: end stage05-list
            return try call.run(in: parts)
        }
    }
}
