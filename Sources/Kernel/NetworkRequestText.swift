import Glibc

// A request in other words: for errors, for `--explain`, and for a shell.

extension NetworkRequest {
    func failed(with errno: Errno) -> KernelError {
        let (operation, object) = subject
        return KernelError(operation, object, errno)
    }

    /// What is done to what, for an error.
    private var subject: (String, String) {
        switch self {
        case .findLink(let name, _): ("find link", name)
        case .addBridge(let name, _): ("add bridge", name)
        case .addVeth(let name, _, _, _, _): ("add veth", name)
        case .addMacvlan(_, let parent, _): ("add macvlan on", parent.name)
        case .bringUp(let name): ("bring up link", name)
        case .unplug(let name): ("unplug link", name)
        case .addAddress(let address, let link): ("add address \(address) to", link.name)
        case .addDefaultRoute(let gateway): ("add default route through", "\(gateway)")
        case .removeLink(let name): ("remove link", name)
        case .findNumber(let index): ("find link", "\(index)")
        case .listAddresses: ("list", "addresses")
        case .moveLink(let link, _, let name, _): ("move link \(link.name), to be called", name)
        case .bringUpLink(let link): ("bring up link", link.name)
        case .restoreAddress(let address, let link): ("add address \(address) to", link.name)
        }
    }

    /// The message's type and what it is about.
    var symbol: String {
        switch self {
        case .findLink(let name, _): "RTM_GETLINK \(name)"
        case .addBridge(let name, _): "RTM_NEWLINK \(name) bridge up"
        case .addVeth(let name, let bridge, let peer, _, let process):
            "RTM_NEWLINK \(name) veth up master=\(bridge.name)"
                + " peer={\(peer), IFLA_NET_NS_PID=\(process.rawValue)}"
        case .addMacvlan(let name, let parent, let process):
            "RTM_NEWLINK \(name) macvlan link=\(parent.name) IFLA_NET_NS_PID=\(process.rawValue)"
        case .bringUp(let name): "RTM_NEWLINK \(name) up"
        case .unplug(let name): "RTM_NEWLINK \(name) down master=0"
        case .addAddress(let address, let link): "RTM_NEWADDR \(address) \(link.name)"
        case .addDefaultRoute(let gateway): "RTM_NEWROUTE default via \(gateway)"
        case .removeLink(let name): "RTM_DELLINK \(name)"
        case .findNumber(let index): "RTM_GETLINK \(index)"
        case .listAddresses: "RTM_GETADDR"
        case .moveLink(let link, let namespace, let name, let index):
            "RTM_NEWLINK \(link.name) IFLA_NET_NS_FD=\(namespace) IFLA_IFNAME=\(name)"
                + " IFLA_NEW_IFINDEX=\(index)"
        case .bringUpLink(let link): "RTM_NEWLINK \(link.index) up"
        case .restoreAddress(let address, let link): "RTM_NEWADDR \(address) \(link.index)"
        }
    }

    /// The command of iproute2 that does the same.
    var shell: String? {
        switch self {
        case .findLink(_, let shell): shell
        case .addBridge(let name, let hardware):
            "ip link add \(name) up address \(hardware) type bridge"
        case .addVeth(let name, let bridge, let peer, let hardware, _):
            onHost(
                "ip link add \(name) up master \(bridge.name) type veth"
                    + " peer name \(peer) address \(hardware)")
        case .addMacvlan(let name, let parent, _):
            onHost("ip link add link \(parent.name) name \(name) type macvlan mode bridge")
        case .bringUp(let name): "ip link set \(name) up"
        case .unplug(let name): "ip link set \(name) down nomaster 2>&- || :"
        case .addAddress(let address, let link):
            "ip address add \(address) dev \(link.name)"
                + (address.address.isVersion6 ? " nodad" : "")
        case .addDefaultRoute(let gateway):
            "ip\(gateway.isVersion6 ? " -6" : "") route add default via \(gateway)"
        case .removeLink(let name): "ip link delete \(name)"
        // A shell has no open namespaces to name.
        case .findNumber, .listAddresses, .moveLink, .bringUpLink, .restoreAddress: nil
        }
    }

    /// In the shell form the sandbox itself reaches back: its script is the only one that runs
    /// while it waits. ``hostShell`` has told it the owner's process.
    private func onHost(_ command: String) -> String {
        "nsenter --net=/proc/$HULL_OWNER/ns/net \(command) netns /proc/self/fd/8"
            + " 8</proc/self/ns/net"
    }

    /// What the owner's script has to say before a sandbox's can reach back.
    public static let hostShell = "export HULL_OWNER=$$"
}
