import Glibc
import Isolation
import Kernel
import OCISpec
import Terminal

/// `hull-runtime create` and `hull-runtime run`: a container out of a bundle.
struct CreateCommand {
    private let command: Command
    /// Whether its process is started, too.
    private let starts: Bool

    private static let options = [
        Option("bundle", "b", .required("DIR"), "The bundle; the current directory if not given."),
        Option("config", "f", .required("FILE"), "The configuration, in place of DIR/config.json."),
        Option(
            "console-socket", nil, .required("PATH"), "Send the terminal's master end there."),
        Option("pid-file", nil, .required("FILE"), "Write the process's number into FILE."),
        Option("pidfd-socket", nil, .required("PATH"), "Send a pidfd of the process there."),
        Option("no-pivot", nil, .none, "Do without pivot_root, for a root that is a ramdisk."),
        Option("no-new-keyring", nil, .none, "Leave it the caller's keys."),
        Option("no-subreaper", nil, .none, "Accepted; nobody is reaped here anyway."),
        Option(
            "preserve-fds", nil, .required("N"), "Leave it N open files from descriptor 3 on."),
    ]

    static let create = CreateCommand(
        command: Command(
            "hull-runtime create", "ID", "Make a container; its process waits to be started.",
            options: options + [.explain], optionsMayFollow: true), starts: false)
    static let run = CreateCommand(
        command: Command(
            "hull-runtime run", "ID", "Make a container and run its process.",
            options: options + [
                Option("detach", "d", .none, "Do not wait for its end."),
                Option("keep", nil, .none, "Keep what is known of it when it has ended."),
                .explain,
            ], optionsMayFollow: true), starts: true)

    func run(_ arguments: [String], _ global: GlobalOptions) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        guard options.operands.count == 1 else { throw command.missing(operandsOf: options) }
        try options.startNarrator()
        // First: it starts the program over again, which is to find what this one found.
        try RuntimeProgram.protect()
        Program.secureStandardDescriptors()
        let directory = try ContainerDirectory(options.operands[0], in: global.root)
        let bundle = try Bundle(at: options.value("bundle") ?? ".", file: options.value("config"))
        var plan = try ContainerPlan(bundle, directory, options, global)
        if !starts || options.has("detach") { return try plan.leave(isStarted: starts) }
        return try plan.run()
    }
}

/// The sockets of a service manager that hands them over, from descriptor 3 on. See
/// `sd_listen_fds(3)`.
enum ListeningSockets {
    /// How many there are. They may have been meant for somebody before us.
    static let count: CInt = {
        guard number("LISTEN_PID") == getpid(), let count = number("LISTEN_FDS") else { return 0 }
        return min(max(count, 0), 1024)
    }()

    /// What tells the next one of them: the container's first process.
    static var environment: [String] {
        count == 0 ? [] : ["LISTEN_FDS=\(count)", "LISTEN_PID=1"]
    }

    private static func number(_ name: String) -> CInt? {
        getenv(name).flatMap { CInt(String(cString: $0)) }
    }
}

extension Arguments {
    /// The descriptors that the process gets beside the first three (`--preserve-fds`), and those
    /// of a service manager.
    func preservedDescriptors() throws(KernelError) -> [CInt] {
        let text = value("preserve-fds") ?? "0"
        guard let count = CInt(text), (0...1024).contains(count) else {
            throw KernelError(
                "option", "--preserve-fds \(text)", .invalidArgument,
                remedy: "It is a number, of descriptors from 3 on.")
        }
        let all = max(count, ListeningSockets.count)
        guard all > 0 else { return [] }
        var descriptors: [CInt] = []
        for descriptor in 3..<3 + all {
            guard fcntl(descriptor, F_GETFD) >= 0 else {
                throw KernelError(
                    "option", "--preserve-fds \(text)", .badDescriptor,
                    remedy: "Descriptor \(descriptor) is not open.")
            }
            descriptors.append(descriptor)
        }
        return descriptors
    }
}
