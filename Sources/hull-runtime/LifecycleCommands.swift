import Glibc
import Isolation
import Kernel
import OCISpec
import Terminal

/// `hull-runtime start`: lets the process of a container go that has been created.
enum StartCommand {
    static let command = Command(
        "hull-runtime start", "ID", "Start the process of a container that has been created.",
        options: [.explain], optionsMayFollow: true)

    static func run(_ arguments: [String], _ global: GlobalOptions) throws(KernelError) -> Int32 {
        guard let call = try ContainerCall(command, arguments, global) else { return 0 }
        let container = call.container
        switch container.status {
        case .created: break
        case .stopped: throw refusal(container, "cannot start a container that has stopped")
        case .running, .paused:
            throw refusal(container, "cannot start an already running container")
        }
        do { try StartGate.open(at: container.directory.gate) } catch {
            // Somebody else was quicker, or it has just been killed.
            throw refusal(container, "cannot start a container that has stopped")
        }
        try runPoststartHooks(of: container)
        return 0
    }

    private static func refusal(_ container: StoredContainer, _ text: String) -> KernelError {
        KernelError(
            "container", "\(container.state.id): \(text)", .invalidArgument,
            remedy: "`hull-runtime state \(container.state.id)` says how it is.")
    }

    /// runtime-spec, `runtime.md`, "Lifecycle", step 9: a hook that fails is the container's end.
    private static func runPoststartHooks(of container: StoredContainer) throws(KernelError) {
        let hooks = try container.configuration().hooks
        do {
            try runHooks(
                hooks.poststart, "poststart", in: container.state.bundle,
                telling: container.state.hookState.json("running", container.state.process.id))
        } catch {
            try container.delete()
            throw error
        }
    }
}

/// `hull-runtime kill`: sends a signal to a container's process, or to all of them.
enum KillCommand {
    static let command = Command(
        "hull-runtime kill", "ID [SIGNAL]", "Send a signal, SIGTERM if not given.",
        options: [
            Option("all", "a", .none, "To all processes of the container."),
            .explain,
        ], optionsMayFollow: true)

    static func run(_ arguments: [String], _ global: GlobalOptions) throws(KernelError) -> Int32 {
        guard let call = try ContainerCall(command, arguments, global, operands: 1...2) else {
            return 0
        }
        let signal = try Signal.number(call.operands.count > 1 ? call.operands[1] : "SIGTERM")
        let container = call.container
        if call.options.has("all") {
            try container.controlGroup.signalAll(signal)
            return 0
        }
        if signal == SIGKILL, !(try container.configuration().linux.ownsNew(.pid)),
            !container.controlGroup.processes().isEmpty
        {
            // No kernel takes the others along, who share their numbers with strangers.
            try container.controlGroup.signalAll(SIGKILL)
            return 0
        }
        guard container.state.process.isRunning,
            try send(signal, to: container.state.process.id)
        else {
            throw KernelError(
                "container", "\(container.state.id): container not running", .noSuchProcess,
                remedy: "`hull-runtime state \(container.state.id)` says how it is.")
        }
        // In version 1 of cgroups who is frozen can't even die.
        if signal == SIGKILL && container.controlGroup.isFrozen {
            try container.controlGroup.freeze(false)
        }
        return 0
    }
}

/// `hull-runtime delete`: removes what is left of a container.
enum DeleteCommand {
    static let command = Command(
        "hull-runtime delete", "ID", "Remove a container that has ended, or was never started.",
        options: [
            Option("force", "f", .none, "End it first; none of that name is no error."),
            .explain,
        ], optionsMayFollow: true)

    static func run(_ arguments: [String], _ global: GlobalOptions) throws(KernelError) -> Int32 {
        let container: StoredContainer
        let isForced: Bool
        do {
            guard let call = try ContainerCall(command, arguments, global) else { return 0 }
            container = call.container
            isForced = call.options.has("force")
        } catch {
            let options = try command.parse(arguments)
            guard error.errno == .noSuchFile, let id = options.operands.first else { throw error }
            let swept = ContainerRecord.sweep(try ContainerDirectory(id, in: global.root))
            if swept || options.has("force") { return 0 }
            throw error
        }
        switch container.status {
        case .stopped, .created: break
        case .running, .paused:
            if isForced { break }
            throw KernelError(
                "cannot delete container",
                "\(container.state.id) that is not stopped: \(container.status.rawValue)", .busy,
                remedy: "`hull-runtime kill` it first, or add --force.")
        }
        try container.delete()
        return 0
    }
}

/// `hull-runtime pause` and `hull-runtime resume`.
struct PauseCommand {
    private let command: Command
    private let freezes: Bool

    static let pause = PauseCommand(
        command: Command(
            "hull-runtime pause", "ID", "Freeze all processes of a container where they are.",
            options: [.explain], optionsMayFollow: true), freezes: true)
    static let resume = PauseCommand(
        command: Command(
            "hull-runtime resume", "ID", "Let the processes of a frozen container go on.",
            options: [.explain], optionsMayFollow: true), freezes: false)

    func run(_ arguments: [String], _ global: GlobalOptions) throws(KernelError) -> Int32 {
        guard let call = try ContainerCall(command, arguments, global) else { return 0 }
        let status = call.container.status
        guard freezes ? status == .running || status == .created : status == .paused else {
            let text = freezes ? "container not running" : "container not paused"
            throw KernelError(
                "container", "\(call.container.state.id): \(text)", .invalidArgument,
                remedy: "It is \(status.rawValue).")
        }
        try call.container.controlGroup.freeze(freezes)
        return 0
    }
}

/// A command that is about one container: its options, and the container.
struct ContainerCall {
    let options: Arguments
    let operands: [String]
    let container: StoredContainer

    /// - Parameter operands: how many there may be, the container's name among them.
    /// - Returns: nil where help was asked for, and shown.
    init?(
        _ command: Command, _ arguments: [String], _ global: GlobalOptions,
        operands: ClosedRange<Int> = 1...1
    ) throws(KernelError) {
        options = try command.parse(arguments)
        if options.has("help") {
            _ = command.showHelp()
            return nil
        }
        guard operands.contains(options.operands.count) else {
            throw command.missing(operandsOf: options)
        }
        try options.startNarrator()
        self.operands = options.operands
        container = try StoredContainer(options.operands[0], in: global.root)
    }
}

extension StoredContainer {
    /// Ends all its processes.
    func end() throws(KernelError) {
        if state.process.isRunning { try send(SIGKILL, to: state.process.id) }
        // What shares a PID namespace with others does not go with its first process.
        try controlGroup.signalAll(SIGKILL)
        for _ in 0..<10_000 where state.process.isRunning { usleep(1000) }
        guard state.process.isRunning else { return }
        throw KernelError(
            "kill", "container \(state.id)", .busy,
            remedy: "Its process does not end; it may be waiting for a disk.")
    }

    /// Takes away all that is left of it.
    func delete() throws(KernelError) {
        try end()
        try state.controlGroup.remove()
        // Read before it is gone with all the rest.
        let hooks = try? configuration().hooks
        try removeTree(directory.path)
        hooks?.runPoststop(telling: state.hookState)
    }
}

/// Signals by name or number. See `signal(7)`.
enum Signal {
    private static let names = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ]

    /// The number of `9`, `KILL`, `SIGKILL`, `RTMIN+1` and the like.
    /// - Throws: `EINVAL` where there is no such signal.
    static func number(_ text: String) throws(KernelError) -> Int32 {
        if let number = Int32(text), (0...64).contains(number) { return number }
        let word = text.uppercased()
        let name = word.hasPrefix("SIG") ? String(word.dropFirst(3)) : word
        if let index = names.firstIndex(of: name) { return Int32(index + 1) }
        switch name {
        case "IOT": return SIGABRT
        case "POLL": return SIGIO
        case "CLD": return SIGCHLD
        default: break
        }
        for (start, first, sign) in [("RTMIN", Int32(34), Int32(1)), ("RTMAX", 64, -1)]
        where name.hasPrefix(start) {
            let rest = name.dropFirst(start.count)
            if rest.isEmpty { return first }
            if let offset = Int32(rest.dropFirst()), (0...30).contains(offset) {
                return first + sign * offset
            }
        }
        throw KernelError(
            "signal", text.isEmpty ? "\"\"" : text, .invalidArgument,
            remedy: "unknown signal: give a number or a name, such as KILL; see signal(7).")
    }
}
