import ImageCommands
import Images
import Isolation
import Kernel
import Terminal

/// Stage 8: a root file system out of a store of images.
@main enum Main {
    private static let command = Command(
        "stage08-images", "IMAGE COMMAND [ARG...]",
        "Run COMMAND as stage 7 does, with the root file system out of the store of images.",
        options: [.explain, .initProcess, .keep] + ContainerFilesystem.options
            + ContainerNetwork.options + ContainerIdentity.options + ContainerLimits.options
            + ContainerPrivileges.options,
        notes: """
            Instead of IMAGE, one of these, which have a --help of their own:

            \(ImageCommand.summaries(width: 14))

            """ + ContainerPrivileges.notes)

    static func main() {
        Program.run { arguments throws(KernelError) in
            let words = Array(arguments.dropFirst())
            let state = StateDirectories()
            if let image = ImageCommand.find(words) {
                return try image.run(words, in: state, of: command.name)
            }
            guard
                let call = try StageCall(
                    command, arguments, protectsProgram: true, takesImage: true)
            else { return 0 }
            var parts = ContainerParts(try ContainerFilesystem(call.options))
            parts.network = try ContainerNetwork(call.options)
            parts.identity = try ContainerIdentity(call.options)
            parts.limits = try ContainerLimits(call.options)
            parts.privileges = try ContainerPrivileges(call.options)
            // book: begin stage08-run
            let store = ContentStore(stateRoot: state.root)
            let image = try store.resolve(call.rootfs)
            let layers = try Snapshots(stateRoot: state.root).lowerDirectories(
                for: image, in: store)
            return try call.run(in: parts, on: layers)
            // book: end stage08-run
        }
    }
}
