import Glibc
import Isolation
import Kernel
import Terminal

/// `hull-runtime`: an OCI runtime, to be called by podman, containerd, docker and the like, or by
/// hand. See runtime-spec, `runtime.md`, and for the command line `runc(8)`, which callers expect.
@main enum Main {
    private static let options = Command(
        "hull-runtime", "COMMAND [options] ...",
        "Run containers as the OCI runtime specification describes them.",
        options: GlobalOptions.options,
        notes: """
            Commands:
              create      Make a container; its process waits to be started
              start       Start it
              run         Both, and wait for its end
              exec        Run one more process in a running container
              state       Say how a container is
              list        List containers
              ps          List the processes of a container
              kill        Send a signal to a container
              pause       Freeze a container's processes
              resume      Let them go on
              update      Change a container's limits
              events      Say what a container uses
              delete      Remove a container that has ended
              spec        Write a config.json to begin with
              features    Say what this runtime can do

            `hull-runtime COMMAND --help` tells more of each.
            """)

    static func main() {
        Program.run { arguments throws(KernelError) in
            let given = try options.parse(arguments)
            let words = given.operands
            if given.has("version") { return showVersion() }
            if given.has("help") && words.isEmpty { return options.showHelp() }
            let global = try GlobalOptions(given)
            do throws(KernelError) {
                try given.startNarrator()
                return try run(words, global)
            } catch {
                global.log.write(error)
                throw error.inTermsOfRuntimes
            }
        }
    }

    private static func run(_ words: [String], _ global: GlobalOptions) throws(KernelError) -> Int32
    {
        let arguments = ["hull-runtime"] + words.dropFirst()
        switch words.first {
        case "create": return try CreateCommand.create.run(arguments, global)
        case "run": return try CreateCommand.run.run(arguments, global)
        case "start": return try StartCommand.run(arguments, global)
        case "exec": return try ExecCommand.run(arguments, global)
        case "state": return try StateCommand.run(arguments, global)
        case "list": return try ListCommand.run(arguments, global)
        case "ps": return try PsCommand.run(arguments, global)
        case "kill": return try KillCommand.run(arguments, global)
        case "delete": return try DeleteCommand.run(arguments, global)
        case "pause": return try PauseCommand.pause.run(arguments, global)
        case "resume": return try PauseCommand.resume.run(arguments, global)
        case "update": return try UpdateCommand.run(arguments, global)
        case "events": return try EventsCommand.run(arguments, global)
        case "spec": return try SpecCommand.run(arguments)
        case "features": return try FeaturesCommand.run(arguments)
        case "checkpoint", "restore": throw unsupported(words[0])
        case "help", nil: return options.showHelp()
        case let word?:
            throw KernelError(
                "command", word, .invalidArgument,
                remedy: "`hull-runtime --help` lists the commands.")
        }
    }

    /// As callers read it: the first line names the program, the last the specification.
    private static func showVersion() -> Int32 {
        Program.write(
            "hull-runtime version \(Features.version)\nspec: \(Features.newestSpecification)\n")
        return 0
    }

    private static func unsupported(_ command: String) -> KernelError {
        KernelError(
            command, "a container", Errno(rawValue: ENOTSUP),
            remedy: "It is not supported: to write a running process to a file and back takes CRIU."
        )
    }
}
