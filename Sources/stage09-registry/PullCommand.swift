import Images
import Isolation
import Kernel
import OCISpec
import Registry
import Terminal

/// `stage09-registry pull`.
enum PullCommand {
    static let command = Command(
        "hull pull", "NAME[:TAG][@DIGEST]", "Get an image from its registry, and unpack it.",
        options: [
            Option("platform", nil, .required("OS/ARCH"), "For another machine: linux/arm64."),
            Option("all-platforms", "a", .none, "Get what there is for every machine."),
            Option("download-only", nil, .none, "Do not unpack it yet."),
            TransferOptions.mirror, TransferOptions.parallel,
        ] + TransferOptions.output + TransferOptions.connection,
        notes: """
            A short name means Docker Hub. What was broken off, by Ctrl-C too, is gone on with by
            the next pull. Mirrors may stand in /etc/hull/registries.json as well:
                {"mirrors": {"docker.io": ["cache.example:5000"]}}

            """ + TransferOptions.notes)

    static func run(_ arguments: [String]) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        let reference = try ImageReference.parse(try command.operand(options))
        var settings = try TransferOptions.settings(options)
        settings.mirrors = try Mirrors(fromFile: ())
        let mirrors = options.values("mirror")
        if !mirrors.isEmpty { settings.mirrors.byRegistry[reference.registry] = mirrors }
        // Before there is a second thread. Unpacking takes a root, if only one of our own.
        try OrdinaryUser.becomeRoot()
        var pull = ImagePull(reference, stateRoot: StateDirectories().root, settings: settings)
        if let text = options.value("platform") {
            do { pull.platform = try Platform(text) } catch {
                throw KernelError(
                    "option", "--platform \(text)", .invalidArgument,
                    remedy: "\(error.problem).")
            }
            pull.unpacks = pull.platform.matches(.host)
        }
        pull.wantsAllPlatforms = options.has("all-platforms")
        if options.has("download-only") { pull.unpacks = false }
        let display = TransferDisplay(options, verb: "Pulling", reference.familiar)
        let request = pull
        let outcome = try waiting { () async throws(KernelError) in
            try await request.run { display.show($0) }
        }
        display.finish()
        Program.write("\(outcome.resolved)\n")
        return 0
    }
}
