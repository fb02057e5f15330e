import Engine
import Images
import Isolation
import Kernel
import OCISpec
import Terminal

/// `commit`: makes an image of what a container wrote.
enum CommitCommand {
    static let entry = ImageCommand(
        Command(
            "commit", "CONTAINER|DIR [NAME[:TAG]]",
            "Make an image of a container's image and what the container wrote.",
            options: [
                .change,
                Option("message", "m", .required("TEXT"), "Say in its history what it is."),
                Option("author", "a", .required("NAME"), "Say who made it."),
                Option(
                    "pause", "p", .required("BOOL"),
                    "false: do not freeze the container meanwhile."),
            ],
            notes: """
                DIR is what a stage was given with --keep. The same changes on the same image make
                the same layer. Files in volumes are not part of it. See `image import --help` for
                the instructions of --change, and for SOURCE_DATE_EPOCH.
                """)
    ) { call throws(KernelError) in
        try call.expectOperands(1...2)
        let reference = try call.operands.dropFirst().first.map(ImageReference.parse)
        try OrdinaryUser.becomeRoot()
        let subject = try Subject(call.operands[0], to: "commit", call.state)
        let pauses = try isTrue(call.options.value("pause") ?? "true") && subject.canBePaused
        if pauses { try subject.container?.controlGroup.freeze(true) }
        let result = Result { () throws(KernelError) in
            try commit(subject.files, as: reference, call)
        }
        if pauses { try subject.container?.controlGroup.freeze(false) }
        Program.write("\(try result.get())\n")
        return 0
    }

    private static func commit(
        _ files: ContainerFiles, as reference: ImageReference?, _ call: ImageCall
    ) throws(KernelError) -> Digest {
        let image = try files.image(in: call.store)
        let bar = ProgressBar()
        defer { bar.clear() }
        let diff = try files.diff(call.state)
        let changes = try diff.changes().byContainer
        var notes = ImageCommitter.Notes()
        notes.changes = call.options.values("change")
        notes.message = call.options.value("message")
        notes.author = call.options.value("author")
        notes.command = files.record.command.joined(separator: " ")
        notes.created = try date()
        return try ImageCommitter(call.store).commit(
            diff, changes, on: image, as: reference, notes, progress: bar.show)
    }

    private static func isTrue(_ text: String) throws(KernelError) -> Bool {
        switch text {
        case "true", "1": return true
        case "false", "0": return false
        default:
            throw KernelError(
                "--pause", text.isEmpty ? "\"\"" : text, .invalidArgument,
                remedy: "It is true or false.")
        }
    }
}

/// What a command on a container's files is about: a container, or what a stage kept.
struct Subject {
    let files: ContainerFiles
    /// nil for what a stage kept.
    let container: Container?

    /// - Parameter word: an id or the beginning of one, or a directory.
    init(_ word: String, to purpose: String, _ state: StateDirectories) throws(KernelError) {
        if word.contains("/") || fileType(word + "/container.json") != nil {
            container = nil
            do { files = try ContainerFiles(in: word) } catch  where error.errno == .noSuchFile {
                throw KernelError(
                    purpose, word, .noSuchFile,
                    remedy: "Give a container, or what stage08-images was given with --keep.")
            }
        } else {
            let found = try Containers(state).find(word, to: purpose)
            container = found
            files = try ContainerFiles(in: found.directory)
        }
    }

    /// Whether there is something to freeze that is not frozen already.
    var canBePaused: Bool {
        guard let container, container.isRunning else { return false }
        return !container.controlGroup.isFrozen
    }
}
