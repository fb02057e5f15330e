import CLinux
import Glibc
import Kernel

/// The command of a sandbox and how it is connected to the world.
public struct SandboxedProcess: Sendable {
    /// The command and its arguments.
    public var arguments: [String]
    /// Its environment, as `NAME=VALUE`.
    public var environment: [String]
    /// Whether it reads the owner's standard input; if not, it reads nothing.
    public var readsInput = true
    /// Whether it gets a terminal of its own (`-t`).
    public var hasTerminal = false
    /// How large that terminal is at first; as large as the owner's where nil.
    public var terminalSize: TerminalSize?
    /// Where programs find the terminal that look for /dev/console.
    public var console = Console.ifThere
    /// The socket that the terminal's master end goes to; the owner carries it where nil.
    public var consoleSocket: String?
    /// Whether it is cut off from the owner's terminal, as a container is.
    public var hasOwnSession = false
    /// Whether a small init of ours is process 1 and the command is its child (`--init`).
    public var hasInit = false
    /// Which bits of the modes that it asks for its files do not get. See `umask(2)`.
    public var fileModeMask: mode_t = 0o022
    /// Open files of the owner that it has too.
    public var keptDescriptors: [CInt] = []
    /// Whether it goes on when its owner ends; see ``Sandbox/detach()``.
    public var isDetached = false
    /// What it reads a byte from before the command is executed; see ``StartGate``.
    public var startGate: CInt?

    /// The command, with the owner's environment unless another is given.
    public init(_ arguments: [String], environment: [String]? = nil) {
        self.arguments = arguments
        self.environment = environment ?? Self.inheritedEnvironment
    }

    /// What this program was started with.
    public static var inheritedEnvironment: [String] {
        var strings: [String] = []
        var next = environ
        while let string = next.pointee {
            strings.append(String(cString: string))
            next += 1
        }
        return strings
    }
}

/// Whether a terminal is mounted on /dev/console.
public enum Console: Sendable {
    /// It is not.
    case none
    /// Only where there is such a file.
    case ifThere
    /// It is, and the file is made where there is none.
    case always
}

/// How many characters a terminal shows. See `ioctl_tty(2)`, `TIOCSWINSZ`.
public struct TerminalSize: Equatable, Sendable {
    /// Lines.
    public let rows: UInt16
    /// Characters in a line.
    public let columns: UInt16

    /// So many lines of so many characters.
    public init(rows: UInt16, columns: UInt16) {
        self.rows = rows
        self.columns = columns
    }
}

extension SandboxedProcess {
    /// Becomes the command. Called in the sandbox, after the last mechanism.
    ///
    /// Sealing comes last: a session, a terminal and an init may be more than the command
    /// itself is allowed to make.
    func start(
        behind mechanisms: [any Mechanism], reportingTo channel: borrowing SandboxEnd
    ) -> Never {
        do {
            if hasInit { try becomeInit(behind: mechanisms, watching: channel) }
            try connect(to: channel)
            let environment = environment(behind: mechanisms)
            // Whoever creates it is to be told, not whoever starts it. Behind a filter it might
            // not be allowed to look.
            if startGate != nil { try checkCommand(arguments, environment: environment) }
            umask(fileModeMask)
            resetSignalHandlers()
            try setBlockedSignals(.none)
            for mechanism in mechanisms {
                Narrator.chapter(mechanism.name, "seal")
                try mechanism.seal(.command)
            }
            for (index, mechanism) in mechanisms.enumerated() {
                if let watch = mechanism.watch { try channel.send(watch: watch, of: index) }
            }
            // A change of user cancels our dying with the owner until it is asked for again.
            channel.endIfOwnerIsGone()
            if let startGate {
                Narrator.chapter("command", "wait")
                try channel.becomeReady()
                try StartGate.wait(at: startGate)
            }
            for mechanism in mechanisms {
                Narrator.chapter(mechanism.name, "launch")
                try mechanism.launch()
            }
            Narrator.chapter("command", "execute")
            try keepAcrossExecution(keptDescriptors)
            try execute(
                arguments, environment: environment, why: "from here on it is the command")
        } catch {
            channel.fail(with: error)
        }
    }

    /// What the mechanisms add stands back behind what the user and the image have set.
    private func environment(behind mechanisms: [any Mechanism]) -> [String] {
        var all = environment
        for mechanism in mechanisms {
            for variable in mechanism.environment {
                let name = split(variable, at: "=")[0] + "="
                if !all.contains(where: { $0.hasPrefix(name) }) { all.append(variable) }
            }
        }
        return all
    }

    /// Stays behind as process 1; only its child, which is to be the command, returns.
    private func becomeInit(
        behind mechanisms: [any Mechanism], watching channel: borrowing SandboxEnd
    ) throws(KernelError) {
        if let command = try clone(into: [], why: "the command is the child of our init") {
            InitProcess(caringFor: command, behind: mechanisms).run(watching: channel)
        }
        Narrator.commandHasInit()
        try dieWithParent(why: "if init is killed, so is the command")
    }

    private func connect(to channel: borrowing SandboxEnd) throws(KernelError) {
        if hasTerminal || hasOwnSession {
            try startSession(why: "no controlling terminal shared with the host")
        }
        if hasTerminal {
            try PseudoTerminal.open(
                sized: terminalSize, console: console, handingMasterTo: channel)
        } else if !readsInput {
            let null = try Descriptor.open("/dev/null", O_RDONLY)
            dup2(null.number, 0)
        }
    }

    /// Sends the master end of the terminal to whoever listens at ``consoleSocket``.
    ///
    /// - Returns: it, where nobody else is to have it.
    func handOver(_ terminal: consuming Descriptor?) throws(KernelError) -> Descriptor? {
        guard let consoleSocket, let master = terminal.take() else { return terminal }
        try sendDescriptor(
            master, saying: "/dev/ptmx", to: consoleSocket,
            why: "the terminal's other end is the caller's")
        return nil
    }
}
