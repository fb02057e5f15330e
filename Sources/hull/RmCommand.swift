import Engine
import Isolation
import Kernel
import Terminal

/// `hull rm`: removes containers that have ended.
enum RmCommand {
    static let command = Command(
        "hull rm", "CONTAINER...", "Remove containers that have ended, with all they wrote.",
        options: [])

    static func run(_ arguments: [String], _ state: StateDirectories) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        if options.operands.isEmpty { throw command.missing(operandsOf: options) }
        try OrdinaryUser.becomeRoot()
        for id in options.operands {
            try Containers(state).remove(id)
            Program.write(id + "\n")
        }
        return 0
    }
}
