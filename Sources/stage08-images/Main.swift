import Engine
import ImageCommands
import Images
import Isolation
import Kernel
import OCISpec
import Terminal

/// Stage 8: a root file system out of a store of images.
@main enum Main {
    private static let command = Command(
        "stage08-images", "IMAGE COMMAND [ARG...]",
        "Run COMMAND as stage 7 does, with the root file system out of the store of images.",
        options: [.platform, .explain, .initProcess, .keep] + ContainerFilesystem.options
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
            let stage = try StageCall(command, arguments, protectsProgram: true, takesImage: true)
            guard var call = stage else { return 0 }
            var parts = ContainerParts(try ContainerFilesystem(call.options))
            parts.network = try ContainerNetwork(call.options)
            parts.identity = try ContainerIdentity(call.options)
            parts.limits = try ContainerLimits(call.options)
            parts.privileges = try ContainerPrivileges(call.options)
            // book: begin stage08-run
            let store = ContentStore(stateRoot: state.root)
            let pin = try store.pin(call.rootfs, platform: try call.options.platform())
            let layers = try Snapshots(stateRoot: state.root).lowerDirectories(
                for: pin.image, in: store)
            try note(pin.image, layers, call)
            try apply(pin.image.configuration.process, to: &parts, &call)
            let code = try call.run(in: parts, on: layers)
            _ = consume pin
            return code
            // book: end stage08-run
        }
    }

    /// What the image says of how it is run, unless the options say otherwise.
    private static func apply(
        _ image: ImageProcess, to parts: inout ContainerParts, _ call: inout StageCall
    ) throws(KernelError) {
        if !call.options.has("workdir"), let directory = image.workingDirectory {
            parts.filesystem.workingDirectory = directory
        }
        if !call.options.has("user") { parts.privileges?.user = image.user }
        call.process.environment = try ContainerEnvironment(
            hasTerminal: call.options.has("tty"), image: image.environment, requests: []
        ).strings
    }

    /// What is kept can be compared and committed by who knows what it was written on.
    private static func note(
        _ image: Image, _ layers: [String], _ call: StageCall
    ) throws(KernelError) {
        guard let directory = call.options.value("keep") else { return }
        try makeDirectories(directory, why: "a place for what the sandbox writes")
        var record = ContainerRecord(
            id: "kept", image: call.rootfs, command: call.process.arguments)
        record.layers = layers
        record.manifest = image.descriptor
        try record.write(to: directory, durable: true)
    }
}
