import Glibc
import Kernel
import Terminal

/// The network of a container: which, and what of it shows outside.
public struct ContainerNetwork: Sendable {
    /// Which network.
    public enum Mode: Equatable, Sendable {
        /// Loopback only.
        case none
        /// The host's own.
        case host
        /// One that pasta carries, for an ordinary user.
        case user
        /// One on this host, shared with other containers: the bridge of this name.
        case bridge(String)
        /// Another container's.
        case container(String)
        /// The one that this link of the host's is on, with a hardware address of its own.
        case macvlan(String)
    }

    /// Which network.
    public var mode: Mode
    private var bridge = BridgeRequest()
    private var servers: [String] = []
    private var macvlanAddress: LinkAddress?
    private var gateway: IPAddress?
    /// A process of the container whose network is meant, where the engine knows one.
    public var member: RunningProcess?

    /// The host's network.
    public static let host = ContainerNetwork(.host)

    private init(_ mode: Mode) { self.mode = mode }
}

/// What a container wants of a bridge.
struct BridgeRequest: Sendable {
    var network = NetworkSettings.usual
    var subnet: IPSubnet?
    var address: IPAddress?
    var ports: [PublishedPort] = []
}

extension ContainerNetwork {
    /// The options that ``init(_:)`` understands.
    public static let options = [
        Option(
            "network", nil, .required("MODE"),
            "none, host, bridge (the default), NAME, container:ID or macvlan:LINK;"
                + " pasta for an ordinary user."),
        Option(
            "publish", "p", .required("[IP:]HOST:PORT"),
            "Lead a port of the host's to the container's PORT[/udp]; repeatable."),
        Option("ip", nil, .required("ADDRESS"), "Have this address; with macvlan, ADDRESS/PREFIX."),
        Option("gateway", nil, .required("ADDRESS"), "With macvlan: the way out."),
        Option("subnet", nil, .required("SUBNET"), "Make the network with these addresses."),
        Option("dns", nil, .required("ADDRESS"), "Ask this name server; repeatable."),
    ]

    /// The network that the options ask for.
    /// - Throws: `EINVAL` where one is wrong, or means nothing in that network.
    public init(_ arguments: Arguments) throws(KernelError) {
        mode = try Self.mode(arguments.value("network"))
        for text in arguments.values("publish") {
            bridge.ports.append(try PublishedPort(parsing: text))
        }
        for text in arguments.values("dns") {
            servers.append("\(try Self.address(text, "name server"))")
        }
        if case .bridge(let name) = mode {
            bridge.network = name
        }
        try refuseMeaningless(in: arguments)
        if let text = arguments.value("gateway") { gateway = try Self.address(text, "gateway") }
        if case .macvlan = mode {
            macvlanAddress = try arguments.value("ip").map(Self.linkAddress)
            return
        }
        if let text = arguments.value("subnet") { bridge.subnet = try Self.subnet(text) }
        if let text = arguments.value("ip") { bridge.address = try Self.address4(text) }
    }

    // book: begin network-list
    /// What makes the network; before the mounts, since /sys shows the network of whoever
    /// mounts it.
    ///
    /// - Parameter files: told what the network looks like from inside.
    public func mechanisms(_ files: NetworkFiles) throws(KernelError) -> [any Mechanism] {
        switch mode {
        case .host: return []
        case .none: return [EmptyNetwork()]
        case .user: return [UserModeNetwork(publishing: bridge.ports)]
        case .bridge: return [BridgeNetwork(bridge, files: files)]
        case .container(let id):
            return [JoinedNetwork(of: try resident(id))]
        case .macvlan(let parent):
            files.add(address: macvlanAddress.map { [$0.address] } ?? [])
            return try [macvlan(on: parent)]
        }
    }
    // book: end network-list

    /// The files that go with it.
    ///
    /// - Parameter hostName: the container's own; nil where it has none.
    public func files(hostName: String?) -> NetworkFiles {
        let own = mode == .user && servers.isEmpty
        return NetworkFiles(
            hostName: hostName, servers: own ? [UserModeNetwork.nameServer] : servers,
            sharesHost: mode == .host)
    }

    private static func mode(_ text: String?) throws(KernelError) -> Mode {
        switch text {
        case nil where OrdinaryUser.isRootOfItsOwn:
            return UserModeNetwork.isAvailable ? .user : .none
        case nil: return .bridge(NetworkSettings.usual)
        case "none": return .none
        case "host": return .host
        case "pasta": return .user
        case let text? where OrdinaryUser.isRootOfItsOwn:
            throw KernelError(
                "network", text.isEmpty ? "\"\"" : text, .notPermitted,
                remedy: "Links on the host are root's to make; an ordinary user has pasta, none"
                    + " and host.")
        case let text?:
            let parts = split(text, at: ":")
            if parts.count == 2, !parts[1].isEmpty {
                if parts[0] == "container" { return .container(parts[1]) }
                if parts[0] == "macvlan" { return .macvlan(parts[1]) }
            }
            try checkNetworkName(text)
            return .bridge(text)
        }
    }

    private func refuseMeaningless(in arguments: Arguments) throws(KernelError) {
        let meaningful: [String]
        switch mode {
        case .bridge: meaningful = ["publish", "ip", "subnet"]
        case .user: meaningful = ["publish"]
        case .macvlan: meaningful = ["ip", "gateway"]
        case .none, .host, .container: meaningful = []
        }
        for option in ["publish", "ip", "subnet", "gateway"]
        where arguments.has(option) && !meaningful.contains(option) {
            throw KernelError(
                "option", "--\(option)", .invalidArgument,
                remedy: "It means nothing with --network \(arguments.value("network") ?? "bridge")."
            )
        }
    }

    private func macvlan(on parent: String) throws(KernelError) -> MacvlanNetwork {
        guard let macvlanAddress else {
            throw KernelError(
                "network macvlan on", parent, .invalidArgument,
                remedy: "Say which address it is to have: --ip ADDRESS/PREFIX.")
        }
        return MacvlanNetwork(on: parent, macvlanAddress, gateway: gateway)
    }

    /// A stage knows no containers, but processes.
    private func resident(_ text: String) throws(KernelError) -> RunningProcess {
        if let member { return member }
        guard let number = pid_t(text), number > 0 else {
            throw KernelError(
                "network of container", text, .noSuchFile,
                remedy: "Give the number of a process that is in it.")
        }
        return try RunningProcess(ProcessID(rawValue: number))
    }

    private static func linkAddress(_ text: String) throws(KernelError) -> LinkAddress {
        let parts = split(text, at: "/")
        guard parts.count == 2, let address = IPAddress(parts[0]), let prefix = Int(parts[1]),
            IPSubnet(of: address, prefix: prefix) != nil
        else {
            throw KernelError(
                "address", text.isEmpty ? "\"\"" : text, .invalidArgument,
                remedy: "With macvlan write ADDRESS/PREFIX, such as 192.0.2.7/24.")
        }
        return LinkAddress(address, prefix: prefix)
    }

    private static func subnet(_ text: String) throws(KernelError) -> IPSubnet {
        guard let subnet = IPSubnet(text), !subnet.base.isVersion6, (8...30).contains(subnet.prefix)
        else {
            throw KernelError(
                "subnet", text.isEmpty ? "\"\"" : text, .invalidArgument,
                remedy: "Write an IPv4 address and a prefix from 8 to 30, such as 10.88.0.0/24.")
        }
        return subnet
    }

    private static func address4(_ text: String) throws(KernelError) -> IPAddress {
        let address = try address(text, "address")
        if address.isVersion6 {
            throw KernelError(
                "address", text, .invalidArgument,
                remedy: "Give the IPv4 address; the IPv6 address ends in the same number.")
        }
        return address
    }

    private static func address(
        _ text: String, _ what: String
    ) throws(KernelError) -> IPAddress {
        guard let address = IPAddress(text) else {
            throw KernelError(
                what, text.isEmpty ? "\"\"" : text, .invalidArgument,
                remedy: "Write it as 192.0.2.1 or 2001:db8::1.")
        }
        return address
    }
}
