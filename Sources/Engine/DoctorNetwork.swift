import CLinux
import Glibc
import Kernel

extension Doctor {
    /// Translates addresses in a network namespace that goes at once, as stage 4 will.
    static func network(_ isRoot: Bool) -> [Finding] {
        let check = "nftables"
        let cost = "no NAT and no published ports for containers (stage 4)"
        guard let nft = program("nft") else {
            return [
                .missing(
                    check, "no nft program", costs: cost, remedy: "sudo apt-get install nftables")
            ]
        }
        let refusal = trial { () throws(KernelError) in
            try enterNamespaces(CLONE_NEWNET, isRoot: isRoot)
            let null = try Descriptor.open("/dev/null", O_RDWR)
            for number: CInt in 0...2 { dup2(null.number, number) }
            try execute(
                [nft, masquerade], environment: [], why: "the question is whether it works")
        }
        guard let refusal else { return [.ok(check, "\(nft), and the kernel does NAT")] }
        return [
            .missing(
                check, "\(nft) is there, but a NAT rule fails (\(refusal.rawValue))", costs: cost,
                remedy: isRoot ? "sudo modprobe -a nf_tables nft_chain_nat nft_masq" : "sudo hull …"
            )
        ]
    }

    /// Without forwarding the host drops what containers send beyond it.
    static func forwarding() -> [Finding] {
        let files = [
            ("IPv4 forwarding", "net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("IPv6 forwarding", "net.ipv6.conf.all.forwarding", "net/ipv6/conf/all/forwarding"),
        ]
        return files.map { check, name, file in
            switch setting("/proc/sys/" + file) {
            case "0":
                return .warning(
                    check, "off", costs: "containers reach the host only (stage 4)",
                    remedy: "sudo sysctl -w \(name)=1")
            case nil:
                return .warning(
                    check, "not in this kernel",
                    costs: "containers without that protocol (stage 4)",
                    remedy: "boot without ipv6.disable=1, or with a kernel that has it")
            default: return .ok(check, "on")
            }
        }
    }
}

private let masquerade = """
    add table ip hull; \
    add chain ip hull post { type nat hook postrouting priority 100; }; \
    add rule ip hull post masquerade
    """
