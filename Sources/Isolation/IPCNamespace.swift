import Kernel

/// System V shared memory, semaphores and message queues, and POSIX message queues, of its own.
///
/// See `ipc_namespaces(7)`.
public struct IPCNamespace: Mechanism {
    /// As the narrator calls it.
    public let name = "ipc namespace"
    /// A new IPC namespace.
    public let namespaces: Namespaces = .ipc

    /// Nothing has to be chosen.
    public init() {}
}
