import Isolation
import Kernel
import Terminal

/// Stage 9: images come from registries and go to them.
///
/// It is a program of its own because it has threads. `hull` has none and may never have: it
/// clones sandboxes. So `hull pull`, `push`, `login` and `logout` start this one.
@main enum Main {
    private static let help = """
        Usage: stage09-registry COMMAND [options] ...

        Images come from registries and go to them. `stage09-registry COMMAND --help` tells more.

          pull     Get an image, and unpack it on the way
          push     Send an image
          login    Say who you are at a registry, for the next times
          logout   Forget that
          tags     List the tags of a repository
          inspect  Show what a registry has under a name, without getting it

        """

    static func main() {
        Program.run { arguments throws(KernelError) in
            let words = Array(arguments.dropFirst())
            let rest = [arguments[0]] + words.dropFirst()
            switch words.first {
            case "pull": return try PullCommand.run(rest)
            case "push": return try PushCommand.run(rest)
            case "login": return try LoginCommand.run(rest)
            case "logout": return try LogoutCommand.run(rest)
            case "tags": return try TagsCommand.run(rest)
            case "inspect": return try InspectCommand.run(rest)
            case "--help", "-h", "help":
                Program.write(help)
                return 0
            default:
                throw KernelError(
                    "command", words.first ?? "(none)", .invalidArgument,
                    remedy: "`stage09-registry --help` lists the commands.")
            }
        }
    }
}
