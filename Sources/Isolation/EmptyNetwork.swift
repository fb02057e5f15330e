import Kernel

/// A network with nothing but a loopback link (`--network none`). See `network_namespaces(7)`.
public struct EmptyNetwork: Mechanism {
    /// As the narrator calls it.
    public let name = "network namespace"
    /// A new network namespace.
    public let namespaces: Namespaces
    private let isMadeInside: Bool

    /// Nothing of it is the host's to do.
    public let entersEarly = true

    /// - Parameter isMadeInside: whether the sandbox makes it for itself, instead of being born in
    ///   it. It takes the kernel longer than all other namespaces together, and who clones waits.
    public init(isMadeInside: Bool = false) {
        self.isMadeInside = isMadeInside
        namespaces = isMadeInside ? [] : .network
    }

    // book: begin loopback
    /// Brings loopback up: a program may want to talk to itself.
    public func enter() throws(KernelError) {
        if isMadeInside { try unshareNetwork(why: "made while the host does its part") }
        try NetlinkSocket().send(
            [.bringUp("lo")], why: "127.0.0.1 is there once its link is up")
    }
    // book: end loopback
}
