import Isolation
import Kernel
import Terminal

/// Stage 7: no more privileges than it needs.
@main enum Main {
    private static let command = Command(
        "stage07-privileges", "ROOTFS COMMAND [ARG...]",
        "Run COMMAND as stage 6 does, with no more privileges than it needs.",
        options: [.explain, .initProcess, .keep] + ContainerFilesystem.options
            + ContainerNetwork.options + ContainerIdentity.options + ContainerLimits.options
            + ContainerPrivileges.options,
        notes: ContainerPrivileges.notes)

    static func main() {
        Program.run { arguments throws(KernelError) in
            guard let call = try StageCall(command, arguments, protectsProgram: true)
            else { return 0 }
            // book: begin stage07-list
            var parts = ContainerParts(try ContainerFilesystem(call.options))
            parts.network = try ContainerNetwork(call.options)
            parts.identity = try ContainerIdentity(call.options)
            parts.limits = try ContainerLimits(call.options)
            parts.privileges = try ContainerPrivileges(call.options)
            // book: end stage07-list
            return try call.run(in: parts)
        }
    }
}
