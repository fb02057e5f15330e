import Kernel

/// A network with nothing but a loopback link (`--network none`). See `network_namespaces(7)`.
public struct EmptyNetwork: Mechanism {
    /// As the narrator calls it.
    public let name = "network namespace"
    /// A new network namespace.
    public let namespaces: Namespaces = .network

    /// Nothing has to be chosen.
    public init() {}

    /// Brings loopback up: a program may want to talk to itself.
    public func enter() throws(KernelError) {
        try bringLoopbackUp(why: "127.0.0.1 is there once its link is up")
    }
}
