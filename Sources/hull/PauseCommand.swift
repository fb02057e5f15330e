import Engine
import Isolation
import Kernel
import Terminal

/// `hull pause` and `hull unpause`: stop the processes of containers, and let them go on.
struct PauseCommand {
    private let command: Command
    private let freezes: Bool

    static let pause = PauseCommand(
        command: Command(
            "hull pause", "CONTAINER...", "Freeze all processes of containers where they are.",
            options: [.explain]), freezes: true)
    static let unpause = PauseCommand(
        command: Command(
            "hull unpause", "CONTAINER...", "Let the processes of frozen containers go on.",
            options: [.explain]), freezes: false)

    func run(_ arguments: [String], _ state: StateDirectories) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        if options.operands.isEmpty { throw command.missing(operandsOf: options) }
        try options.startNarrator()
        for id in options.operands {
            let purpose = (freezes ? "pause" : "unpause") + " container"
            let container = try Containers(state).findRunning(id, to: purpose)
            try container.controlGroup.freeze(freezes)
            Program.write(id + "\n")
        }
        return 0
    }
}
