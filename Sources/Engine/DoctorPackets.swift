import Glibc
import Isolation
import Kernel

// `hull doctor network`: why packets don't get through.

extension Doctor {
    /// Every check on a packet's way from a container to the world and back.
    public static func examineNetwork() -> [Finding] {
        let isRoot = geteuid() == 0
        let networks = networksInUse()
        return network(isRoot) + forwarding(isNeeded: !networks.isEmpty) + [
            firewall(isRoot), wayOut(), subnets(),
        ]
            + networks.map(masquerade) + [bridgeFilter(), nameServers()]
    }

    /// The first container in a network turns it on; where it is off after that, somebody else
    /// has turned it off.
    private static func forwarding(isNeeded: Bool) -> [Finding] {
        forwarding().map { finding in
            guard isNeeded, finding.verdict == .warning, finding.detail == "off" else {
                return finding
            }
            return .missing(
                finding.check, "turned off while containers run",
                costs: "containers reach this host and each other, and nothing beyond",
                remedy: finding.remedy)
        }
    }

    /// A chain of somebody else's that drops what it does not know, as Docker's and ufw's do.
    ///
    /// A rule of ours can't help: a packet has to be accepted by every chain on its way.
    private static func firewall(_ isRoot: Bool) -> Finding {
        let check = "FORWARD policy"
        guard isRoot, let text = nft("list", "chains") else {
            return .ok(check, "not seen: that takes root and nft")
        }
        var table = ""
        var chain = ""
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ").map { $0.filter { $0 != "\t" } }
            if words.first == "table", words.count > 2 { table = "\(words[1]) \(words[2])" }
            if words.first == "chain", words.count > 1 { chain = words[1] }
            guard line.contains("hook forward"), line.contains("policy drop") else { continue }
            return .missing(
                check, "drop, in table \(table)",
                costs: "containers reach this host and each other, and nothing beyond",
                remedy: exception(table, chain))
        }
        return .ok(check, "accept")
    }

    /// How to let our bridges through: iptables' own tables are best left to iptables.
    private static func exception(_ table: String, _ chain: String) -> String {
        if table.hasSuffix(" filter") {
            let user = nft("list", "chain", "ip", "filter", "DOCKER-USER") == nil
            let target = user ? chain : "DOCKER-USER"
            return "sudo iptables -I \(target) -i hull+ -j ACCEPT;"
                + " sudo iptables -I \(target) -o hull+ -j ACCEPT"
        }
        return "sudo nft insert rule \(table) \(chain) iifname 'hull*' accept;"
            + " sudo nft insert rule \(table) \(chain) oifname 'hull*' accept"
    }

    private static func wayOut() -> Finding {
        let check = "default route"
        let routes = (try? readText("/proc/net/route")) ?? ""
        var link: String?
        for line in routes.split(separator: "\n") {
            let fields = line.split(separator: "\t").map(String.init)
            if fields.count > 7, fields[1] == "00000000", fields[7] == "00000000" {
                link = fields[0]
            }
        }
        if let link { return .ok(check, "on \(link)") }
        return .warning(
            check, "none", costs: "neither this host nor its containers reach the world",
            remedy: "bring the host's own network up first")
    }

    /// A route of the host's into the addresses that our network has: one of the two loses.
    private static func subnets() -> Finding {
        let check = "subnet"
        guard let own = IPSubnet("10.77.0.0/16") else { return .ok(check, "") }
        let other = routedSubnets().first {
            !$0.link.hasPrefix("hull") && $0.subnet.overlaps(own)
        }
        guard let other else { return .ok(check, "\(own) is free or ours") }
        return .missing(
            check, "\(other.subnet) on \(other.link) collides with \(own)",
            costs: "hull run without --network fails, or does not reach \(other.subnet)",
            remedy: "hull run --network bridge --subnet 10.177.0.0/16 …")
    }

    /// Whether the rules of a network are still there: a firewall's restart flushes them.
    private static func masquerade(_ network: NetworkInUse) -> Finding {
        let check = "NAT of \(network.name)"
        guard let rules = nft("list", "table", "inet", network.link) else {
            return .missing(
                check, "no table inet \(network.link)",
                costs: "its containers are not answered from beyond, and no port is published",
                remedy: "end its containers and start them again: the first one makes the rules")
        }
        if rules.contains("masquerade") { return .ok(check, "masquerade for \(network.subnet)") }
        return .missing(
            check, "no masquerade in table inet \(network.link)",
            costs: "its containers are not answered from beyond",
            remedy: "end its containers and start them again: the first one makes the rules")
    }

    private static func bridgeFilter() -> Finding {
        let check = "br_netfilter"
        if setting("/proc/sys/net/bridge/bridge-nf-call-iptables") != "1" {
            return .ok(check, "off")
        }
        return .warning(
            check, "on",
            costs: "the host's firewall also judges what stays on one bridge, and a"
                + " container does not reach a port that it has published itself",
            remedy: "sudo sysctl -w net.bridge.bridge-nf-call-iptables=0")
    }

    private static func nameServers() -> Finding {
        let check = "name servers"
        let lines = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"].flatMap { path in
            ((try? readText(path)) ?? "").split(separator: "\n").map(String.init)
        }
        let servers = lines.filter { $0.hasPrefix("nameserver") }
            .compactMap { $0.split(separator: " ").dropFirst().first.map(String.init) }
        if let server = servers.first(where: { !$0.hasPrefix("127.") && $0 != "::1" }) {
            return .ok(check, server)
        }
        return .warning(
            check, servers.first.map { "only \($0), which is this host's loopback" } ?? "none",
            costs: "containers find no names", remedy: "hull run --dns ADDRESS …")
    }

    /// What nft prints; nil where it fails.
    private static func nft(_ words: String...) -> String? {
        guard
            let (code, text) = try? runHelper(
                ["nft"] + words, input: "", keeping: -1, why: "what rules are there?"), code == 0
        else { return nil }
        return text
    }
}
