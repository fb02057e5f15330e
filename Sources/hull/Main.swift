import Glibc
import ImageCommands
import Isolation
import Kernel
import Terminal

/// `hull`: the engine's command line.
@main enum Main {
    private static let help = """
        Usage: hull COMMAND [options] ...

        A container engine to learn from. `hull COMMAND --help` tells more of each.

        Containers:
          run              Run a command in a new container
          ps               List containers
          stats            Show what containers use, as it changes
          pause            Freeze the processes of containers
          unpause          Let them go on
          rm               Remove containers that have ended

        Images:
        \(ImageCommand.summaries(width: 15))
        Registries:
          pull             Get an image from its registry
          push             Send an image to a registry
          login            Say who you are at a registry
          logout           Forget that

        This machine:
          doctor           Say what works here, and what it takes for the rest

        """

    static func main() {
        Program.run { arguments throws(KernelError) in
            let words = Array(arguments.dropFirst())
            let state = StateDirectories()
            switch words.first {
            case "run": return try RunCommand.run(rest(words), state)
            case "ps": return try PsCommand.run(rest(words), state)
            case "stats": return try StatsCommand.run(rest(words), state)
            case "pause": return try PauseCommand.pause.run(rest(words), state)
            case "unpause": return try PauseCommand.unpause.run(rest(words), state)
            case "rm": return try RmCommand.run(rest(words), state)
            case let word? where RegistryProgram.commands.contains(word):
                return try RegistryProgram.become(words)
            case "doctor": return try DoctorCommand.run(rest(words))
            case "--help", "-h", "help":
                Program.write(help)
                return 0
            default:
                guard let command = ImageCommand.find(words) else { return try refuse(words) }
                return try command.run(words, in: state, of: "hull")
            }
        }
    }

    /// The command's own arguments, behind its name.
    private static func rest(_ words: [String]) -> [String] { ["hull"] + words.dropFirst() }

    private static func refuse(_ words: [String]) throws(KernelError) -> Int32 {
        throw KernelError(
            "command", words.first ?? "(none)", .invalidArgument,
            remedy: "`hull --help` lists the commands.")
    }
}
