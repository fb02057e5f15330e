import Engine
import Glibc
import ImageCommands
import Images
import Isolation
import Kernel
import OCISpec
import Terminal

/// `hull run`: a container from an image or from a directory.
enum RunCommand {
    static let command = Command(
        "hull run", "IMAGE [COMMAND [ARG...]]", "Run a command in a new container.",
        options: [
            Option("rm", nil, .none, "Remove the container when its command has ended."),
            Option("interactive", "i", .none, "Let the command read this standard input."),
            Option("env", "e", .required("NAME[=VALUE]"), "Set a variable; repeatable."),
            Option("entrypoint", nil, .required("PROGRAM"), "Run this instead of the image's."),
            Option("rootfs", nil, .required("DIR"), "Use a directory in place of IMAGE."),
            .platform,
            .storageDriver,
            Option(
                "pull", nil, .required("WHEN"),
                "Get IMAGE from its registry: always, missing (if not given) or never."),
            .initProcess,
        ] + ContainerFilesystem.options + ContainerNetwork.options + ContainerIdentity.options
            + ContainerLimits.options + ContainerPrivileges.options + [.explain],
        notes: """
            With --rootfs, COMMAND follows the options. The exit code is the command's; 125 if
            hull failed, 126 if COMMAND cannot be executed, 127 if it is not there, 128 + n if
            signal n ended it.

            """ + ContainerPrivileges.notes)

    static func run(_ arguments: [String], _ state: StateDirectories) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        try options.startNarrator()
        // First: it starts the program over again, which is to find what this one found.
        try RuntimeProgram.protect()
        let inputIsOpen = Program.secureStandardDescriptors()
        try OrdinaryUser.becomeRoot()
        var request = try request(options, state)
        try request.process.checkInput(isOpen: inputIsOpen)
        return try request.run(in: state)
    }

    private static func request(
        _ options: Arguments, _ state: StateDirectories
    ) throws(KernelError) -> ContainerRequest {
        let source = try ContainerSource(options, state)
        var parts = ContainerParts(try ContainerFilesystem(options))
        if !options.has("workdir"), let directory = source.configuration?.workingDirectory {
            parts.filesystem.workingDirectory = directory
        }
        parts.network = try network(options, state)
        parts.identity = try ContainerIdentity(options)
        parts.limits = try ContainerLimits(options)
        parts.privileges = try ContainerPrivileges(options)
        if !options.has("user") { parts.privileges?.user = source.configuration?.user }
        var request = ContainerRequest(try process(options, from: source), in: parts)
        request.image = source.name
        request.layers = source.layers
        request.manifest = source.manifest
        request.driver = source.driver
        request.lease = source.lease
        request.isThrowAway = options.has("rm")
        return request
    }

    private static func network(
        _ options: Arguments, _ state: StateDirectories
    ) throws(KernelError) -> ContainerNetwork {
        var network = try ContainerNetwork(options)
        if case .container(let id) = network.mode {
            let container = try Containers(state).find(id, to: "join network of container")
            network.member = try container.process()
        }
        return network
    }

    private static func process(
        _ options: Arguments, from source: ContainerSource
    ) throws(KernelError) -> SandboxedProcess {
        let environment = try ContainerEnvironment(
            hasTerminal: options.has("tty"), image: source.configuration?.environment ?? [],
            requests: options.values("env"))
        var process = SandboxedProcess(
            try source.command(entrypoint: options.value("entrypoint")),
            environment: environment.strings)
        process.hasOwnSession = true
        process.readsInput = options.has("interactive")
        process.hasTerminal = options.has("tty")
        process.hasInit = options.has("init")
        return process
    }
}

/// Where a container's files and defaults come from: an image or a directory.
private struct ContainerSource {
    let name: String
    let layers: [String]
    let driver: StorageDriver
    private(set) var configuration: ImageProcess?
    private(set) var manifest: ContentDescriptor?
    private(set) var lease: HeldLease?
    /// What follows the image's name or, with `--rootfs`, the options.
    private let operands: [String]

    init(_ options: Arguments, _ state: StateDirectories) throws(KernelError) {
        driver = try StorageDriver(options, state)
        if let directory = options.value("rootfs") {
            try checkRootfs(directory)
            name = try resolvedPath(directory)
            layers = [name]
            operands = options.operands
        } else {
            guard let image = options.operands.first else {
                throw RunCommand.command.missing(operandsOf: options)
            }
            let store = ContentStore(stateRoot: state.root)
            lease = try HeldLease(store)
            let found = try Self.find(image, options, in: store, state)
            let snapshots = Snapshots(stateRoot: state.root, driver: driver)
            layers = try snapshots.lowerDirectories(for: found, in: store)
            configuration = found.configuration.process
            manifest = found.descriptor
            name = image
            operands = Array(options.operands.dropFirst())
        }
    }

    /// The image, out of the store or from its registry.
    private static func find(
        _ image: String, _ options: Arguments, in store: ContentStore, _ state: StateDirectories
    ) throws(KernelError) -> Image {
        let pull = try PullPolicy(options)
        let platform = try options.platform()
        if pull == .always { try RegistryProgram.pull(image, for: platform, state) }
        do { return try store.resolve(image, platform: platform) } catch
            where pull == .missing && error.operation == "find image" && error.errno == .noSuchFile
        {
            // An id is no name that a registry knows; then the first error says it all.
            guard (try? ImageReference(image)) != nil else { throw error }
        }
        try RegistryProgram.pull(image, for: platform, state)
        return try store.resolve(image, platform: platform)
    }

    /// image-spec, `config.md`: the entrypoint comes first; arguments replace the image's.
    func command(entrypoint: String?) throws(KernelError) -> [String] {
        let first = entrypoint.map { [$0] } ?? configuration?.entrypoint ?? []
        let defaults = entrypoint == nil ? configuration?.command ?? [] : []
        let command = first + (operands.isEmpty ? defaults : operands)
        if command.isEmpty {
            throw KernelError(
                "run", name, .invalidArgument,
                remedy: "It names no command of its own: give one after it.")
        }
        return command
    }
}

/// When `hull run` asks the registry.
private enum PullPolicy: String {
    case always, missing, never

    init(_ options: Arguments) throws(KernelError) {
        let word = options.value("pull") ?? "missing"
        guard let policy = PullPolicy(rawValue: word) else {
            throw KernelError(
                "option", "--pull \(word)", .invalidArgument,
                remedy: "It is always, missing or never.")
        }
        self = policy
    }
}
