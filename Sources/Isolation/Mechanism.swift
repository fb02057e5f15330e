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
/// A mechanism does its work in up to five places, in this order:
///
///     the host                       the sandbox
///     ────────                       ───────────
///     prepare()
///     clone3(namespaces) ──────────▶ is born, waits
///     adopt(child)
///     go ──────────────────────────▶ enter()
///                                    (init is forked, the terminal opened)
///                                    seal()
///                                    execve(command)
///     attend(watch)                  … runs
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

    /// In the sandbox, as the very last thing before the command.
    ///
    /// For what would be in the sandbox's own way before: privileges go here. An init of ours
    /// is sealed in the same way as the command that it looks after.
    func seal(_ process: SealedProcess) throws(KernelError)

    /// In the sandbox, sealed: what the owner needs to go on watching it.
    var watch: CInt? { get }

    /// On the host, once the command runs: what ``watch`` was in the sandbox.
    mutating func attend(_ watch: consuming Descriptor) throws(KernelError)

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
    /// Nothing to take away.
    public func seal(_ process: SealedProcess) throws(KernelError) {}
    /// Nothing to watch.
    public var watch: CInt? { nil }
    /// Nothing comes.
    public mutating func attend(_ watch: consuming Descriptor) throws(KernelError) {}
    /// Nothing to give back.
    public mutating func release() throws(KernelError) {}
}
