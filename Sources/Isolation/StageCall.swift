import Glibc
import Kernel
import Terminal

/// What every stage is called with: options, a root file system and a command.
public struct StageCall: Sendable {
    /// The options before the operands.
    public let options: Arguments
    /// The root file system's directory or, from stage 8 on, the image's name.
    public let rootfs: String
    /// The command, connected to the stage's own standard streams.
    public var process: SandboxedProcess

    /// Reads a stage's command line, starts the narrator, and answers `--help`.
    ///
    /// - Parameters:
    ///   - protectsProgram: whether the program's own file is kept from the sandbox.
    ///   - takesImage: whether the root file system is named by an image and not by a directory.
    /// - Returns: nil where there is nothing to run because help was asked for.
    /// - Throws: what is wrong with the command line, or with standard input.
    public init?(
        _ command: Command, _ arguments: [String], protectsProgram: Bool = false,
        takesImage: Bool = false
    ) throws(KernelError) {
        options = try command.parse(arguments)
        if options.has("help") {
            Program.write(command.help)
            return nil
        }
        guard options.operands.count >= 2 else { throw command.missing(operandsOf: options) }
        try options.startNarrator()
        rootfs = options.operands[0]
        if !takesImage { try checkRootfs(rootfs) }
        // Before anything is changed: it starts the program over again.
        if protectsProgram { try RuntimeProgram.protect() }
        let inputIsOpen = Program.secureStandardDescriptors()
        try OrdinaryUser.becomeRoot()
        var process = SandboxedProcess(Array(options.operands.dropFirst()))
        process.hasInit = options.has("init")
        process.hasTerminal = options.has("tty")
        try process.checkInput(isOpen: inputIsOpen)
        self.process = process
    }

    // book: begin stage-run
    /// Runs the command in a container of these parts, on an overlay over the root file system.
    ///
    /// - Parameter layers: what an image's root file system is made of, topmost first.
    /// - Returns: the exit code of the command.
    public func run(
        in parts: ContainerParts, on layers: [String]? = nil
    ) throws(KernelError) -> Int32 {
        let lower = if let layers { layers } else { [try resolvedRootfs()] }
        let list = try parts.mechanisms(
            named: "sandbox-\(randomName().prefix(4))", lower: lower, upper: upper)
        var sandbox = Sandbox(list, running: parts.privileges?.process(process) ?? process)
        return try sandbox.run().code
    }
    // book: end stage-run

    /// Where the writes go: nowhere, unless `--keep` says so.
    public var upper: OverlayRoot.UpperLayer {
        options.value("keep").map { .kept(in: $0) } ?? .throwAway(in: StateDirectories().scratch)
    }

    /// The root file system's path, for a mount that is made from another directory.
    public func resolvedRootfs() throws(KernelError) -> String {
        try checkRootfs(rootfs)
        return try resolvedPath(rootfs)
    }
}

extension SandboxedProcess {
    /// Refuses to run a command that reads from what is not there.
    public func checkInput(isOpen: Bool) throws(KernelError) {
        guard readsInput else { return }
        if !isOpen {
            throw KernelError(
                "read", "standard input", .badDescriptor,
                remedy: "It is closed; redirect it, for example from /dev/null.")
        }
        if hasTerminal && isatty(0) == 0 {
            throw KernelError(
                "read", "standard input", Errno(rawValue: ENOTTY),
                remedy: "With -t it has to be a terminal; leave -t out for a pipe or a file.")
        }
    }
}

extension Option {
    /// `--keep`.
    public static let keep = Option(
        "keep", nil, .required("DIR"), "Keep what is written, in DIR/upper.")
    /// `--init`.
    public static let initProcess = Option(
        "init", nil, .none, "Run a small init as process 1: reaps orphans, forwards signals.")
}

extension ContainerFilesystem {
    /// The options that ``init(_:)`` understands.
    public static let options = [
        Option("tty", "t", .none, "Give the command a terminal of its own."),
        Option(
            "volume", "v", .required("SRC:DST[:ro]"), "Show SRC of the host as DST; repeatable."),
        Option("tmpfs", nil, .required("DST[:OPTIONS]"), "Mount memory on DST; repeatable."),
        Option("read-only", nil, .none, "Make the root file system read-only."),
        Option("workdir", "w", .required("DIR"), "Start the command in DIR."),
    ]

    /// The file system that the options ask for.
    public init(_ arguments: Arguments) throws(KernelError) {
        self.init()
        for text in arguments.values("volume") { volumes.append(try Volume(parsing: text)) }
        temporary = arguments.values("tmpfs")
        isReadOnly = arguments.has("read-only")
        workingDirectory = arguments.value("workdir") ?? "/"
        hasTerminal = arguments.has("tty")
    }
}
