import CLinux
import Glibc
import Isolation
import Kernel
import OCISpec
import Terminal

/// A container that is about to be made: the list of its mechanisms, and its process.
struct ContainerPlan {
    private let record: ContainerRecord
    private let list: [any Mechanism]
    private var process: SandboxedProcess
    private let announcement: ProcessAnnouncement

    /// - Throws: what is wrong with the bundle or the options. Nothing is made yet.
    init(
        _ bundle: Bundle, _ directory: ContainerDirectory, _ options: Arguments,
        _ global: GlobalOptions
    ) throws(KernelError) {
        let translation = try BundleMechanisms(
            bundle, directory, options, manager: global.controlGroupManager)
        record = translation.record
        list = try translation.list()
        process = try translation.process()
        process.console = .always
        process.consoleSocket = options.value("console-socket")
        process.keptDescriptors = try options.preservedDescriptors()
        process.environment += ListeningSockets.environment
        announcement = ProcessAnnouncement(options)
        if process.consoleSocket != nil && !process.hasTerminal {
            throw KernelError(
                "option", "--console-socket", .invalidArgument,
                remedy: "The process has no terminal: set process.terminal, or leave it out.")
        }
    }

    /// Runs it to its end.
    /// - Returns: the exit code of its process.
    mutating func run() throws(KernelError) -> Int32 {
        try reserve()
        do {
            var sandbox = Sandbox(list + [announcement], running: process)
            return try sandbox.run().code
        } catch {
            try record.release()
            throw error
        }
    }

    /// Before all the others: the name, and the gate's place.
    private func reserve() throws(KernelError) {
        Narrator.chapter(record.name, "prepare")
        try record.prepare()
    }

    /// Makes it and leaves it to itself.
    ///
    /// - Parameter isStarted: whether its process is started; else it waits at its gate.
    mutating func leave(isStarted: Bool) throws(KernelError) -> Int32 {
        if process.hasTerminal && process.consoleSocket == nil {
            throw KernelError(
                "terminal", "of the process", .invalidArgument,
                remedy: "Nobody is left to carry it: give --console-socket, or set"
                    + " process.terminal to false.")
        }
        process.isDetached = true
        try reserve()
        do {
            let gate = isStarted ? nil : try StartGate(at: record.directory.gate)
            process.startGate = gate?.number
            var sandbox = Sandbox(list + (gate.map { [$0] } ?? []), running: process)
            try sandbox.detach(announcement.tell)
            return 0
        } catch {
            try record.release()
            throw error
        }
    }
}

/// Tells the caller which process it is, in the ways that were asked for.
struct ProcessAnnouncement: Mechanism {
    let name = "announcement"
    private let file: String?
    private let socket: String?

    init(_ options: Arguments) {
        file = options.value("pid-file")
        socket = options.value("pidfd-socket")
    }

    /// Callers take the number for a sign that the process runs, so not before it does.
    func started(_ child: ProcessID) throws(KernelError) { try tell(child) }

    func tell(_ child: ProcessID) throws(KernelError) {
        if let file { try replaceFile(file, with: "\(child.rawValue)".utf8, durable: false) }
        if let socket {
            let handle = Descriptor(owning: pidfd_open(child.rawValue, 0))
            try sendDescriptor(
                handle, saying: "pidfd", to: socket, why: "a process that can't be mistaken")
        }
    }
}
