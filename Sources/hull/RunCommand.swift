import Engine
import Glibc
import Isolation
import Kernel
import Terminal

/// `hull run`: a container from an image or from a directory.
enum RunCommand {
    static let command = Command(
        "hull run", "IMAGE [COMMAND [ARG...]]", "Run a command in a new container.",
        options: [
            Option("rm", nil, .none, "Remove the container when it has ended."),
            Option("interactive", "i", .none, "Let the command read this standard input."),
            Option("env", "e", .required("NAME[=VALUE]"), "Set an environment variable."),
            Option("hostname", nil, .required("NAME"), "The container's host name."),
            Option("network", nil, .required("MODE"), "none, or host (so far the default)."),
            Option("rootfs", nil, .required("DIR"), "Use a directory in place of IMAGE."),
            .initProcess, .explain,
        ] + ContainerFilesystem.options)

    static func run(_ arguments: [String]) throws(KernelError) -> Int32 {
        let inputIsOpen = Program.secureStandardDescriptors()
        let options = try command.parse(arguments)
        if options.has("help") {
            Program.write(command.help)
            return 0
        }
        try options.startNarrator()
        var process = SandboxedProcess(options.operands, environment: ["PATH=/bin"])
        process.hasOwnSession = true
        process.readsInput = options.has("interactive")
        process.hasTerminal = options.has("tty")
        try process.checkInput(isOpen: inputIsOpen)
        let root = OverlayRoot(
            lower: [options.value("rootfs") ?? "/"],
            upper: .throwAway(in: StateDirectories().scratch))
        var list = try ContainerFilesystem(options).mechanisms(on: root)
        list += [try HostName("abc"), IPCNamespace()]
        if options.value("network") == "none" { list.append(EmptyNetwork()) }
        var sandbox = Sandbox(list, running: process)
        return try sandbox.run().code
    }
}
