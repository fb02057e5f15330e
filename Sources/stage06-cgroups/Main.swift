import Isolation
import Kernel
import Terminal

/// Stage 6: a share of the machine and no more.
@main enum Main {
    private static let command = Command(
        "stage06-cgroups", "ROOTFS COMMAND [ARG...]",
        "Run COMMAND as stage 5 does, in a cgroup that limits what it uses of the machine.",
        options: [.explain, .initProcess, .keep] + ContainerFilesystem.options
            + ContainerNetwork.options + ContainerIdentity.options + ContainerLimits.options)

    static func main() {
        Program.run { arguments throws(KernelError) in
            guard let call = try StageCall(command, arguments) else { return 0 }
            // book: begin stage06-list
            var parts = ContainerParts(try ContainerFilesystem(call.options))
            parts.network = try ContainerNetwork(call.options)
            parts.identity = try ContainerIdentity(call.options)
            parts.limits = try ContainerLimits(call.options)
            // book: end stage06-list
            return try call.run(in: parts)
        }
    }
}
