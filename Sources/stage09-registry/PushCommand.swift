import Images
import Isolation
import Kernel
import OCISpec
import Registry
import Terminal

/// `stage09-registry push`.
enum PushCommand {
    static let command = Command(
        "hull push", "IMAGE [DESTINATION]",
        "Send an image to the registry in its name, or to another one.",
        options: [
            Option("all-platforms", "a", .none, "Send what there is for every machine."),
            TransferOptions.chunkSize, TransferOptions.parallel,
        ] + TransferOptions.output + TransferOptions.connection,
        notes: TransferOptions.notes)

    static func run(_ arguments: [String]) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        guard (1...2).contains(options.operands.count) else {
            throw command.missing(operandsOf: options)
        }
        let source = options.operands[0]
        let destination = try ImageReference.parse(options.operands.last ?? source)
        let settings = try TransferOptions.settings(options)
        try OrdinaryUser.becomeRoot()
        var push = ImagePush(
            source, as: destination, stateRoot: StateDirectories().root, settings: settings)
        push.wantsAllPlatforms = options.has("all-platforms")
        let display = TransferDisplay(options, verb: "Pushing", destination.familiar)
        let request = push
        let pushed = try waiting { () async throws(KernelError) in
            try await request.run { display.show($0) }
        }
        display.finish()
        Program.write("\(pushed.digest)\n")
        return 0
    }
}
