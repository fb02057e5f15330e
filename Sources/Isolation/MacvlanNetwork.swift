import Glibc
import Kernel

/// A hardware address of its own on the network that a link of the host's is on
/// (`--network macvlan:LINK`).
///
/// No bridge, no NAT: to that network the sandbox is one more machine. Only the host itself it
/// can't reach, since the link passes nothing between the two. See `ip-link(8)`, MACVLAN.
public final class MacvlanNetwork: Mechanism {
    /// As the narrator calls it.
    public let name = "macvlan network"
    /// A new network namespace.
    public let namespaces: Namespaces = .network
    private let parent: String
    private let address: LinkAddress
    private let gateway: IPAddress?

    /// - Parameters:
    ///   - parent: the host's link.
    ///   - address: what the sandbox is to be called on that network.
    ///   - gateway: its way out; nil where it needs none.
    init(on parent: String, _ address: LinkAddress, gateway: IPAddress?) {
        self.parent = parent
        self.address = address
        self.gateway = gateway
    }

    /// Makes the link in the sandbox.
    public func adopt(_ child: ProcessID) throws(KernelError) {
        let socket = try NetlinkSocket()
        let link = try socket.link(
            parent, shell: NetworkRequest.hostShell, why: "the kernel knows links by number")
        try socket.send(
            [.addMacvlan("eth0", on: link, inNetworkOf: child)],
            why: "a second machine, as far as that network can tell")
    }

    /// Gives it its address.
    public func enter() throws(KernelError) {
        let socket = try NetlinkSocket()
        let eth0 = try socket.link("eth0", why: "the kernel knows links by number")
        var requests: [NetworkRequest] = [
            .bringUp("lo"), .bringUp("eth0"), .addAddress(address, eth0),
        ]
        if let gateway { requests.append(.addDefaultRoute(through: gateway)) }
        try socket.send(requests, why: "links up, the address, and the way out")
    }
}
