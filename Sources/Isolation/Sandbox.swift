import CLinux
import Glibc
import Kernel

/// A process behind a list of mechanisms.
///
/// This is the whole engine: everything else is a mechanism or feeds one.
public struct Sandbox {
    private var mechanisms: [any Mechanism]
    private let process: SandboxedProcess
    /// How many mechanisms have to be released.
    private var begun = 0

    /// A sandbox that runs `process` behind `mechanisms`, entered in their order.
    public init(_ mechanisms: [any Mechanism], running process: SandboxedProcess) {
        self.mechanisms = mechanisms
        self.process = process
    }

    // book: begin sandbox-run
    /// Builds the sandbox, runs the command, takes the sandbox down again.
    ///
    /// - Returns: how the command ended.
    /// - Throws: what kept it from starting. Nothing is left behind then either.
    public mutating func run() throws(KernelError) -> ExitStatus {
        var failure: KernelError?
        var status = ExitStatus.exited(ExitCode.ours)
        do {
            status = try start { supervisor, terminal throws(KernelError) in
                try supervisor.wait(relaying: terminal)
            }
        } catch {
            failure = error
        }
        // What went wrong first is what the user has to know.
        do { try release() } catch { failure = failure ?? error }
        if let failure { throw failure }
        return status
    }
    // book: end sandbox-run

    /// Builds the sandbox and leaves it to itself: its command runs, or waits at its gate. The
    /// process has to be detached; see ``SandboxedProcess/isDetached``.
    ///
    /// What the mechanisms hold is to be given back by whoever ends it.
    ///
    /// - Parameter announce: tells others which process it is.
    /// - Throws: what kept it from coming so far, or from being told. Nothing is left behind then.
    public mutating func detach(
        _ announce: (ProcessID) throws(KernelError) -> Void
    ) throws(KernelError) {
        do {
            try start { supervisor, _ throws(KernelError) in try announce(supervisor.child) }
        } catch {
            do { try release() } catch {}
            throw error
        }
    }

    private mutating func release() throws(KernelError) {
        var failure: KernelError?
        for index in mechanisms.indices.prefix(begun).reversed() {
            Narrator.chapter(mechanisms[index].name, "release")
            do { try mechanisms[index].release() } catch { failure = failure ?? error }
        }
        begun = 0
        if let failure { throw failure }
    }

    // book: begin sandbox-start
    private mutating func start<Result>(
        then body: (inout Supervisor, consuming Descriptor?) throws(KernelError) -> Result
    ) throws(KernelError) -> Result {
        for index in mechanisms.indices {
            begun = index + 1
            Narrator.chapter(mechanisms[index].name, "prepare")
            try mechanisms[index].prepare()
        }
        let handshake = try Handshake()
        // Blocked before there is a child, so that no signal falls between the two.
        let signals = try SignalQueue(of: Supervisor.signals)
        Narrator.chapter("sandbox", "start")
        guard let child = try cloneChild()
        else { becomeSandbox(handshake.takeSandboxEnd()) }
        var supervisor = Supervisor(of: child, running: process, signals: signals)
        do {
            let terminal = try introduce(child, over: handshake)
            return try body(&supervisor, terminal)
        } catch {
            try supervisor.killAndReap()
            throw error
        }
    }
    // book: end sandbox-start

    private func cloneChild() throws(KernelError) -> ProcessID? {
        var namespaces = Namespaces()
        var birthplaces: [OpenNamespace] = []
        var cgroup: CInt?
        for mechanism in mechanisms {
            namespaces.formUnion(mechanism.namespaces)
            birthplaces += mechanism.birthplaces
            cgroup = cgroup ?? mechanism.cgroup
        }
        return try clone(
            into: namespaces, from: birthplaces, cgroup: cgroup,
            why: "a process that starts out set apart")
    }

    /// Does what has to be done to the child from outside and lets it go.
    ///
    /// - Returns: the master end of its terminal, where it has one that is ours to carry.
    private mutating func introduce(
        _ child: ProcessID, over handshake: consuming Handshake
    ) throws(KernelError) -> Descriptor? {
        let host = handshake.takeHostEnd()
        do throws(KernelError) {
            for index in mechanisms.indices {
                Narrator.chapter(mechanisms[index].name, "adopt")
                try mechanisms[index].adopt(child)
            }
        } catch {
            // If the child has failed meanwhile, this has failed because of that.
            throw try host.failureSoFar() ?? error
        }
        try host.letGo()
        let terminal = try host.awaitExecution(
            assist: { index throws(KernelError) in
                guard mechanisms.indices.contains(index) else { return }
                Narrator.chapter(mechanisms[index].name, "assist")
                try mechanisms[index].assist(child)
            },
            attend: { index, watch throws(KernelError) in
                guard mechanisms.indices.contains(index) else { return }
                Narrator.chapter(mechanisms[index].name, "attend")
                try mechanisms[index].attend(watch)
            })
        Narrator.sandboxIsSilent()
        for index in mechanisms.indices where process.startGate == nil {
            Narrator.chapter(mechanisms[index].name, "started")
            try mechanisms[index].started(child)
        }
        return try process.handOver(terminal)
    }

    /// How many mechanisms do not wait for the host.
    private var earlyCount: Int {
        // What is told is told in order: the one side, then the other.
        Narrator.isOn ? 0 : mechanisms.dropLast().prefix { $0.entersEarly }.count
    }

    /// What the child does between `clone3(2)` and `execve(2)`.
    private func becomeSandbox(_ channel: borrowing SandboxEnd) -> Never {
        do {
            if earlyCount == 0 { try channel.awaitPermission() }
            Narrator.becomeSandbox()
            try enter(watching: channel)
        } catch {
            channel.fail(with: error)
        }
        process.start(behind: mechanisms, reportingTo: channel)
    }

    // book: begin sandbox-enter
    private func enter(watching channel: borrowing SandboxEnd) throws(KernelError) {
        let early = earlyCount
        if !process.isDetached {
            try dieWithParent(why: "whoever kills the owner of the sandbox kills the sandbox")
        }
        // It may have been killed before we asked for that.
        channel.endIfOwnerIsGone()
        if mechanisms.contains(where: \.closesDescriptors) { try closeInherited(but: channel) }
        // The modes that the mechanisms ask for are meant as they are written.
        umask(0)
        for (index, mechanism) in mechanisms.enumerated() {
            if index == early && early > 0 { try channel.awaitPermission() }
            Narrator.chapter(mechanism.name, "enter")
            try mechanism.enter()
            if mechanism.needsHost { try channel.awaitAssistance(in: index) }
        }
        // Another user id makes the kernel forget the first request.
        if !process.isDetached, mechanisms.contains(where: { $0.namespaces.contains(.user) }) {
            try dieWithParent(why: "once more: the kernel forgets it when ids change")
            channel.endIfOwnerIsGone()
        }
        Narrator.chapter("command", "start")
    }
    // book: end sandbox-enter

    /// See ``ClosedDescriptors``.
    private func closeInherited(but channel: borrowing SandboxEnd) throws(KernelError) {
        var kept = [channel.number] + process.keptDescriptors
        for mechanism in mechanisms { kept += mechanism.descriptors }
        try closeDescriptors(but: kept, why: "the owner's open files are no way out for the image")
    }
}
