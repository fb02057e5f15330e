import CLinux
import Glibc

/// Something that the kernel is asked to change about links, addresses or routes.
public enum NetworkRequest: Sendable {
    // book: begin requests
    /// Which number a link has.
    case findLink(String, shell: String?)
    /// A bridge: a switch made of software. It gets this hardware address.
    case addBridge(String, HardwareAddress)
    /// A cable with two ends: one here, on a bridge; the other in the namespace of a process.
    case addVeth(String, onBridge: Link, peer: String, HardwareAddress, inNetworkOf: ProcessID)
    /// A second hardware address on a link of the host's, in the namespace of a process.
    case addMacvlan(String, on: Link, inNetworkOf: ProcessID)
    /// Lets a link carry packets.
    case bringUp(String)
    /// Takes a link off its bridge, and lets it carry nothing more.
    case unplug(String)
    /// An address for a link.
    case addAddress(LinkAddress, Link)
    /// Where everything goes that no other route fits.
    case addDefaultRoute(through: IPAddress)
    /// Removes a link.
    case removeLink(String)
    // book: end requests
    /// Which link has this number.
    case findNumber(Int32)
    /// All addresses that there are.
    case listAddresses
    /// Takes a link into another network namespace, which is open, under this name and number.
    case moveLink(Link, into: CInt, as: String, index: Int32)
    /// Lets a link carry packets that is known by its number.
    case bringUpLink(Link)
    /// An address that a link has had elsewhere.
    case restoreAddress(KeptAddress, Link)
}

/// A link by its number, which the kernel wants, and its name, which people want.
public struct Link: Sendable {
    /// The kernel's number for it in its namespace.
    public let index: Int32
    /// Its name there.
    public let name: String

    /// A link that there is.
    public init(_ name: String, index: Int32) {
        self.name = name
        self.index = index
    }
}

/// The six bytes by which a link is known on its network.
public struct HardwareAddress: Hashable, Sendable, CustomStringConvertible {
    /// The bytes, as they go over the wire.
    public let bytes: [UInt8]

    /// One that is made from an address: who has the same address again, is found again at once.
    ///
    /// The second-lowest bit of the first byte says that no manufacturer has given it.
    public init(for address: IPAddress) { bytes = [0x02, 0x68] + address.bytes.suffix(4) }

    /// `02:68:0a:4d:00:02`.
    public var description: String {
        join(bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }, with: ":")
    }
}

extension NetworkRequest {
    /// The message to the kernel. See `rtnetlink(7)`.
    var message: NetlinkMessage {
        switch self {
        case .findLink(let name, _):
            // Without NLM_F_ACK: the answer is what was asked for.
            return linkMessage(RTM_GETLINK, 0, named: name)
        case .addBridge(let name, let hardware):
            var message = linkMessage(RTM_NEWLINK, Self.new, isUp: true, named: name)
            message.add(IFLA_ADDRESS, bytes: hardware.bytes)
            message.addNested(IFLA_LINKINFO) { $0.add(IFLA_INFO_KIND, text: "bridge") }
            return message
        case .addVeth(let name, let bridge, let peer, let hardware, let process):
            return vethMessage(name, bridge, peer, hardware, process)
        case .addMacvlan(let name, let parent, let process):
            return macvlanMessage(name, parent, process)
        case .bringUp(let name):
            return linkMessage(RTM_NEWLINK, NLM_F_ACK, isUp: true, named: name)
        case .unplug(let name):
            var message = linkMessage(RTM_NEWLINK, NLM_F_ACK, isUp: false, named: name)
            message.add(IFLA_MASTER, UInt32(0))
            return message
        case .addAddress(let address, let link):
            return addressMessage(address, link)
        case .addDefaultRoute(let gateway):
            return routeMessage(gateway)
        case .removeLink(let name):
            return linkMessage(RTM_DELLINK, NLM_F_ACK, named: name)
        case .findNumber(let index):
            return NetlinkMessage(RTM_GETLINK, 0, linkHeader(isUp: nil, index))
        case .listAddresses:
            return NetlinkMessage(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg())
        case .moveLink(let link, let namespace, let name, let index):
            return moveMessage(link, namespace, name, index)
        case .bringUpLink(let link):
            return NetlinkMessage(RTM_NEWLINK, NLM_F_ACK, linkHeader(isUp: true, link.index))
        case .restoreAddress(let address, let link):
            return address.message(for: link, Self.new)
        }
    }

    /// Make it; it must not be there.
    private static let new = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL

    private func linkMessage(
        _ type: Int, _ flags: Int32, isUp: Bool? = nil, named name: String
    ) -> NetlinkMessage {
        var message = NetlinkMessage(type, flags, linkHeader(isUp: isUp))
        message.add(IFLA_IFNAME, text: name)
        return message
    }

    /// - Parameter isUp: nil where that is to stay as it is.
    private func linkHeader(isUp: Bool?, _ index: Int32 = 0) -> ifinfomsg {
        var header = ifinfomsg()
        header.ifi_index = index
        header.ifi_flags = isUp == true ? UInt32(IFF_UP) : 0
        header.ifi_change = isUp == nil ? 0 : UInt32(IFF_UP)
        return header
    }

    // book: begin veth
    /// One message makes both ends. The far one is born in the sandbox, under the name that it
    /// keeps there, and is never seen on the host.
    private func vethMessage(
        _ name: String, _ bridge: Link, _ peer: String, _ hardware: HardwareAddress,
        _ process: ProcessID
    ) -> NetlinkMessage {
        var message = linkMessage(RTM_NEWLINK, Self.new, isUp: true, named: name)
        message.add(IFLA_MASTER, bridge.index)
        message.addNested(IFLA_LINKINFO) { message in
            message.add(IFLA_INFO_KIND, text: "veth")
            message.addNested(IFLA_INFO_DATA) { message in
                message.addNested(Int(VETH_INFO_PEER), linkHeader(isUp: nil)) { message in
                    message.add(IFLA_IFNAME, text: peer)
                    message.add(IFLA_ADDRESS, bytes: hardware.bytes)
                    message.add(IFLA_NET_NS_PID, process.rawValue)
                }
            }
        }
        return message
    }
    // book: end veth

    private func macvlanMessage(
        _ name: String, _ parent: Link, _ process: ProcessID
    ) -> NetlinkMessage {
        var message = linkMessage(RTM_NEWLINK, Self.new, named: name)
        message.add(IFLA_LINK, parent.index)
        message.add(IFLA_NET_NS_PID, process.rawValue)
        message.addNested(IFLA_LINKINFO) { message in
            message.add(IFLA_INFO_KIND, text: "macvlan")
            message.addNested(IFLA_INFO_DATA) { message in
                message.add(IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE.rawValue)
            }
        }
        return message
    }

    /// The link is known by its number: its name is the one that it is to have there.
    private func moveMessage(
        _ link: Link, _ namespace: CInt, _ name: String, _ index: Int32
    ) -> NetlinkMessage {
        var message = NetlinkMessage(
            RTM_NEWLINK, NLM_F_ACK, linkHeader(isUp: nil, link.index))
        message.add(IFLA_NET_NS_FD, namespace)
        message.add(IFLA_NEW_IFINDEX, index)
        message.add(IFLA_IFNAME, text: name)
        return message
    }

    private func addressMessage(_ address: LinkAddress, _ link: Link) -> NetlinkMessage {
        var header = ifaddrmsg()
        header.ifa_family = address.address.family
        header.ifa_prefixlen = UInt8(address.prefix)
        header.ifa_index = UInt32(link.index)
        // Nobody else can have it: it need not be tried out on the network for a second first.
        if address.address.isVersion6 { header.ifa_flags = UInt8(IFA_F_NODAD) }
        var message = NetlinkMessage(RTM_NEWADDR, Self.new, header)
        message.add(IFA_LOCAL, bytes: address.address.bytes)
        message.add(IFA_ADDRESS, bytes: address.address.bytes)
        return message
    }

    private func routeMessage(_ gateway: IPAddress) -> NetlinkMessage {
        var header = rtmsg()
        header.rtm_family = gateway.family
        header.rtm_table = UInt8(RT_TABLE_MAIN.rawValue)
        header.rtm_protocol = UInt8(RTPROT_STATIC)
        header.rtm_scope = UInt8(RT_SCOPE_UNIVERSE.rawValue)
        header.rtm_type = UInt8(RTN_UNICAST)
        var message = NetlinkMessage(RTM_NEWROUTE, Self.new, header)
        message.add(Int(RTA_GATEWAY.rawValue), bytes: gateway.bytes)
        return message
    }
}
