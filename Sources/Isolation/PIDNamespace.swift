import Kernel

/// Process numbers of its own: the command is process 1 and sees no process of the host's.
///
/// When process 1 ends, the kernel kills the rest: a sandbox cannot leave processes behind.
/// See `pid_namespaces(7)`.
public struct PIDNamespace: Mechanism {
    /// As the narrator calls it.
    public let name = "pid namespace"
    // book: begin pid-namespace
    /// A new PID namespace.
    public let namespaces: Namespaces = .pid
    // book: end pid-namespace

    /// Nothing has to be chosen.
    public init() {}
}
