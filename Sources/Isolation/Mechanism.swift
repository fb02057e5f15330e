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
/// A mechanism does its work in up to four places, in this order:
///
///     the host                       the sandbox
///     ────────                       ───────────
///     prepare()
///     clone3(namespaces) ──────────▶ is born, waits
///     adopt(child)
///     go ──────────────────────────▶ enter()
///                                    execve(command)
///     waits …                        … runs, ends
///     release()
///
/// What a mechanism does not need, it leaves out.
public protocol Mechanism {
    // book: begin mechanism
    /// What it is called in what the narrator tells.
    var name: String { get }

    /// The namespaces that the sandbox has to be born in.
    var namespaces: Namespaces { get }

    /// On the host, before the sandbox exists.
    mutating func prepare() throws(KernelError)

    /// On the host, while the sandbox is there and waits.
    mutating func adopt(_ child: ProcessID) throws(KernelError)

    /// In the sandbox, before the command.
    func enter() throws(KernelError)

    /// On the host, after the sandbox has gone, in reverse order.
    ///
    /// It is called on every path, even where ``prepare()`` stopped half-way.
    mutating func release() throws(KernelError)
    // book: end mechanism
}

extension Mechanism {
    /// No new namespace.
    public var namespaces: Namespaces { [] }
    /// Nothing to prepare.
    public mutating func prepare() throws(KernelError) {}
    /// Nothing to do from outside.
    public mutating func adopt(_ child: ProcessID) throws(KernelError) {}
    /// Nothing to do inside.
    public func enter() throws(KernelError) {}
    /// Nothing to give back.
    public mutating func release() throws(KernelError) {}
}
