import Glibc
import Kernel

/// A network of containers: what its bridge is called, and which addresses it has.
struct NetworkSettings: Equatable {
    /// As the user calls it.
    let name: String
    /// No other network on this host has it; 0 is the one that needs no name.
    let number: Int
    /// Its IPv4 addresses.
    let subnet: IPSubnet
    /// Its IPv6 addresses: unique local ones, of which nobody outside knows. See RFC 4193.
    let subnet6: IPSubnet

    /// The network that is meant where no other is named.
    static let usual = "bridge"

    /// - Parameter subnet: nil for the one that goes with the number.
    init?(_ name: String, number: Int, subnet: IPSubnet? = nil) {
        let own = number == 0 ? "10.77.0.0/16" : "10.78.\(number).0/24"
        // "hull" in ASCII is 68 75 6c 6c.
        let own6 = "fd68:756c:6c:\(String(number, radix: 16))::/64"
        guard let subnet = subnet ?? IPSubnet(own), let subnet6 = IPSubnet(own6) else { return nil }
        self.name = name
        self.number = number
        self.subnet = subnet
        self.subnet6 = subnet6
    }

    /// The bridge's name, and that of the table of its rules.
    var link: String { name == Self.usual ? "hull0" : "hull-\(name)" }

    /// The host's own address in the network: the containers' way out.
    var gateway: IPAddress { subnet.address(1) }
    /// The same of IPv6.
    var gateway6: IPAddress { subnet6.address(1) }

    /// The numbers of addresses that containers can have.
    ///
    /// The first is the subnet's, the second the host's, and the last reaches all of them.
    var pool: Range<Int> { 2..<max(2, (1 << (32 - subnet.prefix)) - 1) }
}

/// Checks the name of a network.
///
/// The kernel takes 15 bytes for a link, and we put "hull-" in front.
func checkNetworkName(_ name: String) throws(KernelError) {
    let isPlain = name.utf8.allSatisfy { byte in
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
    }
    guard isPlain, (1...10).contains(name.utf8.count), !name.hasPrefix("-") else {
        throw KernelError(
            "network", name.isEmpty ? "\"\"" : name, .invalidArgument,
            remedy: "Write none, host, bridge, container:ID, macvlan:LINK, or the name of a network"
                + " of your own: 1 to 10 of a-z, 0-9 and -.")
    }
}

/// The routes of this host: subnets that are taken. See `/proc/net/route`.
public func routedSubnets() -> [(subnet: IPSubnet, link: String)] {
    let text: String
    do { text = try readText("/proc/net/route") } catch { return [] }
    return split(text, at: "\n").dropFirst().compactMap { line in
        let fields = split(line, at: "\t")
        guard fields.count > 7, let destination = UInt32(fields[1], radix: 16),
            let mask = UInt32(fields[7], radix: 16), mask != 0,
            let address = IPAddress(dotted(destination)),
            let subnet = IPSubnet(of: address, prefix: mask.nonzeroBitCount)
        else { return nil }
        return (subnet, fields[0])
    }
}

/// The kernel prints the four bytes as one number of the machine's own order.
private func dotted(_ number: UInt32) -> String {
    let bytes = [number & 255, number >> 8 & 255, number >> 16 & 255, number >> 24 & 255]
    return join(bytes.map { "\($0)" }, with: ".")
}
