import Kernel

/// A network with nothing but a loopback link (`--network none`). See `network_namespaces(7)`.
public struct EmptyNetwork: Mechanism {
    /// As the narrator calls it.
    public let name = "network namespace"
    /// A new network namespace.
    public let namespaces: Namespaces = .network

    /// Nothing of it is the host's to do.
    public let entersEarly = true

    /// Nothing has to be chosen.
    public init() {}

    // book: begin loopback
    /// Brings loopback up: a program may want to talk to itself.
    public func enter() throws(KernelError) {
        try NetlinkSocket().send(
            [.bringUp("lo")], why: "127.0.0.1 is there once its link is up")
    }
    // book: end loopback
}
