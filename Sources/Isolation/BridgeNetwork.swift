import Glibc
import Kernel

/// A network of its own, with a cable to a bridge that it shares with other sandboxes.
///
///     sandbox A           sandbox B
///     eth0 10.77.0.2      eth0 10.77.0.3
///       │                   │                veth: a cable, two links that are its ends
///     veth4f…             veth91…
///     ──┴───── hull0 ───────┴──              bridge: a switch; 10.77.0.1 is the host itself
///                │
///        routing, NAT, published ports
///                │
///              eth0 of the host
///
/// See `veth(4)`, `ip-link(8)`, `network_namespaces(7)`.
public final class BridgeNetwork: Mechanism {
    /// As the narrator calls it.
    public let name = "bridge network"
    /// A new network namespace.
    public let namespaces: Namespaces = .network
    private let request: BridgeRequest
    private let files: NetworkFiles
    private var network: NetworkSettings?
    private var lease: AddressLease?
    private var heldPorts: [CInt] = []
    private var hasIPv6 = false
    private var link = ""

    /// - Parameter files: told which address the sandbox gets.
    init(_ request: BridgeRequest, files: NetworkFiles) {
        self.request = request
        self.files = files
    }

    // book: begin bridge-prepare
    /// Takes an address and makes the bridge where there is none, with nobody else doing so.
    public func prepare() throws(KernelError) {
        hasIPv6 = fileType("/proc/net/if_inet6") != nil
        let registry = try NetworkRegistry.open()
        let network = try registry.network(request.network, subnet: request.subnet)
        self.network = network
        lease = try registry.lease(request.address, in: network)
        try bridge(network, registry)
        try publish(on: network, registry)
        files.add(address: addresses(network).map(\.address))
    }
    // book: end bridge-prepare

    // book: begin bridge-adopt
    /// Lays the cable: one end on the bridge, the other in the sandbox.
    public func adopt(_ child: ProcessID) throws(KernelError) {
        guard let network, let address = addresses(network).first?.address else { return }
        let socket = try NetlinkSocket()
        let bridge = try socket.link(network.link, why: "the kernel knows links by number")
        link = "veth" + String(randomName().prefix(8))
        try socket.send(
            [
                .addVeth(
                    link, onBridge: bridge, peer: "eth0", HardwareAddress(for: address),
                    inNetworkOf: child)
            ], why: "a cable from the bridge into the sandbox")
    }
    // book: end bridge-adopt

    // book: begin bridge-enter
    /// Sets the sandbox's end up, all in one message to the kernel.
    public func enter() throws(KernelError) {
        guard let network else { return }
        let socket = try NetlinkSocket()
        let eth0 = try socket.link("eth0", why: "the kernel knows links by number")
        if hasIPv6 {
            try setKernelParameter(
                "net/ipv6/conf/eth0/accept_ra", to: "0",
                why: "routes come from us, and not from whoever else is on the bridge")
        }
        var requests: [NetworkRequest] = [.bringUp("lo"), .bringUp("eth0")]
        for address in addresses(network) { requests.append(.addAddress(address, eth0)) }
        requests.append(.addDefaultRoute(through: network.gateway))
        if hasIPv6 { requests.append(.addDefaultRoute(through: network.gateway6)) }
        try socket.send(requests, why: "links up, addresses, and the way out")
    }
    // book: end bridge-enter

    // book: begin bridge-release
    /// Gives the address back.
    ///
    /// The cable is only unplugged: it goes with the sandbox's namespace, which the kernel takes
    /// down when it has time.
    public func release() throws(KernelError) {
        for socket in heldPorts { close(socket) }
        heldPorts = []
        guard let network, let lease = lease.take() else { return }
        let registry = try NetworkRegistry.open()
        if !link.isEmpty { try unplug() }
        try NetworkRules(network).withdraw(elements(network), keeping: registry.descriptor)
        try registry.end(lease)
    }
    // book: end bridge-release

    private func addresses(_ network: NetworkSettings) -> [LinkAddress] {
        guard let number = lease?.number else { return [] }
        let address = LinkAddress(network.subnet.address(number), prefix: network.subnet.prefix)
        let address6 = LinkAddress(network.subnet6.address(number), prefix: network.subnet6.prefix)
        return hasIPv6 ? [address, address6] : [address]
    }

    private func unplug() throws(KernelError) {
        do {
            try NetlinkSocket().send([.unplug(link)], why: "nothing comes out of it any more")
        } catch  where error.errno.rawValue == ENODEV {
            // The namespace has gone already, and the cable with it.
        }
    }
}

extension BridgeNetwork {
    /// Takes away what killed owners left of networks and published ports.
    public static func sweep() throws(KernelError) {
        if try NetworkRegistry.isThere() { _ = try NetworkRegistry.open() }
    }
}

// The network's own part, which the first sandbox in it makes.
extension BridgeNetwork {
    /// Makes the bridge and what belongs to it, unless it is there.
    private func bridge(
        _ network: NetworkSettings, _ registry: borrowing NetworkRegistry
    ) throws(KernelError) {
        let socket = try NetlinkSocket()
        let found = try socket.index(
            ofLink: network.link, shell: NetworkRequest.hostShell, why: "is the bridge there?")
        if found != nil { return }
        // The bridge comes last: where it is, everything is.
        try NetworkRules(network).install(keeping: registry.descriptor)
        try forward()
        let hardware = HardwareAddress(for: network.gateway)
        try socket.send(
            [.addBridge(network.link, hardware)], why: "a switch for this network's sandboxes")
        let bridge = try socket.link(network.link, why: "the kernel knows links by number")
        try setKernelParameter(
            "net/ipv4/conf/\(network.link)/route_localnet", to: "1",
            why: "a published port is reached over 127.0.0.1 too")
        var requests: [NetworkRequest] = [
            .addAddress(LinkAddress(network.gateway, prefix: network.subnet.prefix), bridge)
        ]
        if hasIPv6 {
            let address = LinkAddress(network.gateway6, prefix: network.subnet6.prefix)
            requests.append(.addAddress(address, bridge))
        }
        try socket.send(requests, why: "the host is in this network too, as its way out")
    }

    /// Lets the host pass packets on that are not its own.
    ///
    /// It stays so: others may count on it by the time that we go.
    private func forward() throws(KernelError) {
        if kernelParameter("net/ipv4/ip_forward") == "0" {
            try setKernelParameter(
                "net/ipv4/ip_forward", to: "1", why: "the host passes on what is not its own")
        }
        if hasIPv6, kernelParameter("net/ipv6/conf/all/forwarding") == "0" {
            try setKernelParameter(
                "net/ipv6/conf/all/forwarding", to: "1", why: "the same for IPv6")
        }
    }

    /// Takes the ports and directs them here.
    private func publish(
        on network: NetworkSettings, _ registry: borrowing NetworkRegistry
    ) throws(KernelError) {
        for port in request.ports { heldPorts += try port.hold(hasIPv6: hasIPv6) }
        let elements = elements(network)
        // Before the rules: what is noted will be taken away, even if it was never there.
        if !elements.isEmpty { try lease?.note(elements) }
        try NetworkRules(network).publish(elements, keeping: registry.descriptor)
    }

    private func elements(_ network: NetworkSettings) -> [String] {
        request.ports.flatMap { $0.elements(to: addresses(network).map(\.address)) }
    }
}
