import Kernel

/// One thing that the kernel can do to set a process apart.
///
/// A sandbox is a list of these. Each stage of the book adds one to the list, and
/// nothing else changes:
///
///     stage 1   ChangeRoot
///     stage 2   ChangeRoot  PIDNamespace  ProcFilesystem
///     stage 3   MountNamespace  OverlayRoot  PivotRoot  PIDNamespace  ProcFilesystem  …
///
/// A mechanism does its work in these places, in this order:
///
///     the host                       the sandbox
///     ────────                       ───────────
///     prepare()
///     clone3(namespaces) ──────────▶ is born, waits
///     adopt(child)
///     go ──────────────────────────▶ enter()
///     assist(child)                  … waits in the middle of it, if needsHost
///                                    (init is forked, the terminal opened)
///                                    seal()
///     attend(watch)
///                                    (waits at its gate, if it is only created as yet)
///                                    launch()
///                                    execve(command)
///     started(child)                 … runs
///     waits …                        … ends
///     release()
///
/// What a mechanism does not need, it leaves out.
public protocol Mechanism {
    // book: begin mechanism
    /// What it is called in what the narrator tells.
    var name: String { get }

    /// The namespaces that the sandbox has to be born in.
    var namespaces: Namespaces { get }

    /// The namespaces, open, of others that it has to be born in; see ``JoinedNamespaces``.
    var birthplaces: [OpenNamespace] { get }

    /// The open directory of the cgroup that it has to be born in; see `CLONE_INTO_CGROUP`.
    var cgroup: CInt? { get }

    /// What is open here and needed by ``enter()`` or ``seal(_:)``; see ``closesDescriptors``.
    var descriptors: [CInt] { get }

    /// Variables for the command, as `NAME=VALUE`, where its environment lacks them. Asked for
    /// in the sandbox, after ``enter()``.
    var environment: [String] { get }

    /// Whether the sandbox is born with none of its caller's open files.
    var closesDescriptors: Bool { get }

    /// On the host, before the sandbox exists.
    mutating func prepare() throws(KernelError)

    /// On the host, while the sandbox is there and waits.
    mutating func adopt(_ child: ProcessID) throws(KernelError)

    /// In the sandbox, before the command.
    func enter() throws(KernelError)

    /// Whether the sandbox need not wait for the host's part before it enters this.
    ///
    /// The host and the sandbox are then at work at the same time, each on a processor. It counts
    /// at the beginning of the list: behind the first that has to wait everything has waited.
    var entersEarly: Bool { get }

    /// Whether the sandbox waits, once it has entered this, for ``assist(_:)``.
    var needsHost: Bool { get }

    /// On the host, while the sandbox waits in the middle of entering.
    mutating func assist(_ child: ProcessID) throws(KernelError)

    /// In the sandbox, as the last thing before the command may start.
    ///
    /// For what would be in the sandbox's own way before: privileges go here. An init of ours
    /// is sealed in the same way as the command that it looks after.
    func seal(_ process: SealedProcess) throws(KernelError)

    /// In the sandbox, sealed: what the owner needs to go on watching it.
    var watch: CInt? { get }

    /// On the host, once the command runs: what ``watch`` was in the sandbox.
    mutating func attend(_ watch: consuming Descriptor) throws(KernelError)

    /// In the sandbox, sealed and told to start: the very last thing before the command.
    func launch() throws(KernelError)

    /// On the host, once the command has been started.
    mutating func started(_ child: ProcessID) throws(KernelError)

    /// On the host, after the sandbox has gone, in reverse order.
    ///
    /// It is called on every path, even where ``prepare()`` stopped half-way.
    mutating func release() throws(KernelError)
    // book: end mechanism
}

/// Which of a sandbox's two processes is about to lose its privileges.
public enum SealedProcess: Sendable {
    /// The one that is going to be the command.
    case command
    /// Our init, which stays behind as process 1 (`--init`).
    case initProcess
}

extension Mechanism {
    /// What its caller left open, the sandbox has too.
    public var closesDescriptors: Bool { false }
    /// No new namespace.
    public var namespaces: Namespaces { [] }
    /// Nobody else's namespaces.
    public var birthplaces: [OpenNamespace] { [] }
    /// The owner's cgroup.
    public var cgroup: CInt? { nil }
    /// Nothing has to stay open.
    public var descriptors: [CInt] { [] }
    /// No variables.
    public var environment: [String] { [] }
    /// Nothing to prepare.
    public mutating func prepare() throws(KernelError) {}
    /// Nothing to do from outside.
    public mutating func adopt(_ child: ProcessID) throws(KernelError) {}
    /// Nothing to do inside.
    public func enter() throws(KernelError) {}
    /// The host first.
    public var entersEarly: Bool { false }
    /// Needs nothing of the host's on the way.
    public var needsHost: Bool { false }
    /// Nothing to do meanwhile.
    public mutating func assist(_ child: ProcessID) throws(KernelError) {}
    /// Nothing to take away.
    public func seal(_ process: SealedProcess) throws(KernelError) {}
    /// Nothing to watch.
    public var watch: CInt? { nil }
    /// Nothing comes.
    public mutating func attend(_ watch: consuming Descriptor) throws(KernelError) {}
    /// Nothing left to do.
    public func launch() throws(KernelError) {}
    /// Nothing to do about it.
    public mutating func started(_ child: ProcessID) throws(KernelError) {}
    /// Nothing to give back.
    public mutating func release() throws(KernelError) {}
}
