import Engine
import Images
import Isolation
import Kernel
import OCISpec
import Terminal

/// A command on images, which `hull` and `stage08-images` share: a file each.
public struct ImageCommand: Sendable {
    /// Its words behind the program's, its options and its help.
    let command: Command
    /// What it does; the result is the exit code.
    let body: @Sendable (ImageCall) throws(KernelError) -> Int32

    init(
        _ command: Command, _ body: @escaping @Sendable (ImageCall) throws(KernelError) -> Int32
    ) {
        self.command = command
        self.body = body
    }

    /// The words it is called by, such as `image import`.
    public var words: [String] { command.name.split(separator: " ").map(String.init) }

    /// All of them, in the order of the help.
    public static let all: [ImageCommand] = [
        ImagesCommand.entry,
        TagCommand.entry,
        RmiCommand.entry,
        HistoryCommand.entry,
        InspectCommand.entry,
        ImportCommand.entry,
        CommitCommand.entry,
        DiffCommand.entry,
        MountCommand.entry,
        UnmountCommand.entry,
        SaveCommand.entry,
        LoadCommand.entry,
        VersionsCommand.entry,
        RevertCommand.entry,
        VerifyCommand.entry,
        PruneCommand.entry,
    ]

    /// The command that these words begin with; nil where they are none of these.
    public static func find(_ words: [String]) -> ImageCommand? {
        all.first { words.starts(with: $0.words) }
    }

    /// A line each, as the help of a program lists its commands.
    ///
    /// - Parameter width: how many columns the names take.
    public static func summaries(width: Int) -> String {
        all.map { entry in
            let name = entry.command.name
            let space = String(repeating: " ", count: max(0, width - name.count))
            return "  \(name)\(space)  \(entry.command.summary.dropLast())\n"
        }.joined()
    }

    /// Reads the options behind the command's words, and runs it.
    ///
    /// - Parameters:
    ///   - words: what stands behind the program's name, from the command's first word on.
    ///   - program: what the help calls the program.
    /// - Returns: the exit code.
    public func run(
        _ words: [String], in state: StateDirectories, of program: String
    ) throws(KernelError) -> Int32 {
        let command = command.renamed(program + " " + command.name)
        let options = try command.parse([program] + words.dropFirst(self.words.count))
        if options.has("help") { return command.showHelp() }
        return try body(ImageCall(command: command, options: options, state: state))
    }
}

/// How a command on images was called.
struct ImageCall: Sendable {
    /// The command, by the name that the user calls it by.
    let command: Command
    /// What stood behind its words.
    let options: Arguments
    /// Where the images are.
    let state: StateDirectories

    /// The words behind the options.
    var operands: [String] { options.operands }
    /// The images.
    var store: ContentStore { ContentStore(stateRoot: state.root) }
    /// Their layers, unpacked.
    var snapshots: Snapshots { Snapshots(stateRoot: state.root) }

    /// For which machine, where `--platform` says so.
    func platform() throws(KernelError) -> Platform? { try options.platform() }

    /// Their layers, unpacked as `--storage-driver` says.
    func chosenSnapshots() throws(KernelError) -> Snapshots {
        Snapshots(stateRoot: state.root, driver: try StorageDriver(options, state))
    }

    /// Throws unless there are so many operands.
    func expectOperands(_ count: ClosedRange<Int>) throws(KernelError) {
        if !count.contains(operands.count) { throw command.missing(operandsOf: options) }
    }

    /// Throws unless there is an operand.
    func expectOperands() throws(KernelError) {
        if operands.isEmpty { throw command.missing(operandsOf: options) }
    }
}

extension Option {
    /// `--platform`.
    public static let platform = Option(
        "platform", nil, .required("OS/ARCH[/VARIANT]"),
        "Of an image for several machines, the one for this.")
    /// `--json`.
    static let json = Option("json", nil, .none, "For programs: as JSON.")
}

extension Arguments {
    /// What `--platform` asks for; nil where it was not given.
    public func platform() throws(KernelError) -> Platform? {
        guard let text = value("platform") else { return nil }
        do { return try Platform(text) } catch {
            throw KernelError(
                "--platform", error.subject, .invalidArgument, remedy: "\(error.problem).")
        }
    }
}
