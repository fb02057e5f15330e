import Isolation
import Kernel
import Terminal

/// Stage 4: a network of its own.
@main enum Main {
    private static let command = Command(
        "stage04-network", "ROOTFS COMMAND [ARG...]",
        "Run COMMAND as stage 3 does, in a network of its own.",
        options: [.explain, .initProcess, .keep] + ContainerFilesystem.options
            + ContainerNetwork.options)

    static func main() {
        Program.run { arguments throws(KernelError) in
            guard let call = try StageCall(command, arguments) else { return 0 }
            // book: begin stage04-list
            var parts = ContainerParts(try ContainerFilesystem(call.options))
            parts.network = try ContainerNetwork(call.options)
            // book: end stage04-list
            return try call.run(in: parts)
        }
    }
}
