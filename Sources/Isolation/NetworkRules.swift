import Glibc
import Kernel

/// The rules of one network, in a table of nftables of its own. See `nft(8)`.
struct NetworkRules {
    private let network: NetworkSettings

    init(_ network: NetworkSettings) { self.network = network }

    /// Puts the table in place whole, whatever was there before: nft does all of it or nothing.
    func install(keeping lock: CInt) throws(KernelError) {
        let link = network.link
        try nft(
            """
            add table inet \(link)
            delete table inet \(link)
            table inet \(link) {
            \(maps)
            \(translation)
            \(protection)
            }
            """, keeping: lock, why: "what containers send is translated, and what may come in")
    }

    /// Takes the table away.
    func remove(keeping lock: CInt) throws(KernelError) {
        // Added first: it need not be there.
        try nft(
            "add table inet \(network.link)\ndelete table inet \(network.link)", keeping: lock,
            why: "no rules without a network")
    }

    /// Directs ports of the host to a container. See ``PublishedPort/elements(to:)``.
    func publish(_ elements: [String], keeping lock: CInt) throws(KernelError) {
        if elements.isEmpty { return }
        let lines = elements.map { "add element inet \(network.link) \($0)" }
        try nft(
            join(lines, with: "\n"), keeping: lock,
            why: "what arrives for the port goes to the container")
    }

    /// Takes that back.
    func withdraw(_ elements: [String], keeping lock: CInt) throws(KernelError) {
        if elements.isEmpty { return }
        // Added first: whoever was killed may not have come to it.
        let lines = elements.flatMap { element in
            ["add", "delete"].map { "\($0) element inet \(network.link) \(element)" }
        }
        try nft(join(lines, with: "\n"), keeping: lock, why: "nobody listens there any more")
    }

    /// From the host's address, protocol and port to the container's address and port.
    private var maps: String {
        """
          map published4 {
            type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
            flags interval
          }
          map published6 {
            type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
            flags interval
          }
        """
    }

    // book: begin translation
    /// Both directions: in, the port's number says which container is meant; out, the host puts
    /// its own address on what containers send, since nobody beyond knows theirs.
    private var translation: String {
        let link = network.link
        let ours = "\(network.subnet)"
        let ours6 = "\(network.subnet6)"
        return """
              chain publish {
                fib daddr type != local return
                meta l4proto { tcp, udp } dnat ip to ip daddr . meta l4proto . th dport map @published4
                meta l4proto { tcp, udp } dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6
              }
              chain arriving { type nat hook prerouting priority -100; jump publish; }
              chain from-host { type nat hook output priority -100; jump publish; }
              chain leaving {
                type nat hook postrouting priority 100;
                oifname != "\(link)" ip saddr \(ours) masquerade
                oifname != "\(link)" ip6 saddr \(ours6) masquerade
                oifname "\(link)" ct status dnat ip saddr { 127.0.0.0/8, \(ours) } masquerade
                oifname "\(link)" ct status dnat ip6 saddr { ::1, \(ours6) } masquerade
              }
            """
    }
    // book: end translation

    // book: begin protection
    /// Nobody reaches a container from outside its network but through a published port; and no
    /// container reaches what listens on the host's loopback only.
    private var protection: String {
        """
          chain loopback {
            type filter hook prerouting priority -300;
            iifname "\(network.link)" ip daddr 127.0.0.0/8 drop
          }
          chain passing {
            type filter hook forward priority 0;
            oifname != "\(network.link)" accept
            iifname "\(network.link)" accept
            ct state established,related accept
            ct status dnat accept
            drop
          }
        """
    }
    // book: end protection

    private func nft(
        _ script: String, keeping lock: CInt, why: StaticString
    ) throws(KernelError) {
        let result: (code: Int32, errors: String)
        do {
            result = try runHelper(["nft", "-f", "-"], input: script, keeping: lock, why: why)
        } catch  where error.errno == .noSuchFile {
            throw error.advising("Install it: sudo apt-get install nftables")
        }
        if result.code != 0 {
            let line = split(result.errors, at: "\n").first ?? ""
            throw KernelError(
                "nft", network.link, .invalidArgument,
                remedy: "It says: \(line) `hull doctor network` tells more.")
        }
    }
}
