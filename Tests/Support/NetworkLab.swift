import Foundation
import Testing

/// Hosts of a test's own, each a network namespace, with cables between them.
///
///     client ───────── router ───────── host          (the sandboxes' host)
///     198.51.100.9     .1   192.0.2.1   192.0.2.2
///     2001:db8:2::9    ::1  2001:db8:1::1  2001:db8:1::2
///
/// The machine's own network is never touched.
final class NetworkLab {
    let host: LabHost
    let router: LabHost
    let client: LabHost

    init() throws {
        host = try LabHost()
        router = try LabHost()
        client = try LabHost()
        for one in [host, router, client] { try one.shell("ip link set lo up") }
        try host.shell("ip link add up0 type veth peer name down0 netns \(router.process)")
        try client.shell("ip link add up0 type veth peer name down1 netns \(router.process)")
        try router.shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        try router.join("down0", "192.0.2.1/24", "2001:db8:1::1/64")
        try router.join("down1", "198.51.100.1/24", "2001:db8:2::1/64")
        try host.join("up0", "192.0.2.2/24", "2001:db8:1::2/64", "192.0.2.1", "2001:db8:1::1")
        try client.join(
            "up0", "198.51.100.9/24", "2001:db8:2::9/64", "198.51.100.1", "2001:db8:2::1")
    }

    deinit { end() }

    /// Ends the namespaces' processes; nothing may run in them any more.
    func end() { for one in [client, router, host] { one.end() } }
}

/// A network namespace with nothing in it but what a test puts there.
final class LabHost {
    private let holder: Program
    /// The process that holds the namespace.
    var process: pid_t { holder.process }

    init() throws {
        holder = try Program(["unshare", "--net", "sleep", "1000"])
        try waitUntil("a network namespace") {
            try Observed(process: self.process).namespace("net") != Observed.host.namespace("net")
                && Observed(process: self.process).name == "sleep"
        }
    }

    func end() {
        holder.signal(SIGKILL)
        _ = try? holder.wait()
    }

    /// The command line that runs `command` on this host.
    func command(_ command: [String]) -> [String] {
        ["nsenter", "--net=/proc/\(process)/ns/net"] + command
    }

    /// Runs something here that has to work.
    @discardableResult
    func shell(_ script: String) throws -> Outcome {
        let outcome = try run(command(["sh", "-c", script]))
        if outcome.code != 0 { throw ProgramFailure(description: "\(outcome)") }
        return outcome
    }

    func join(
        _ link: String, _ address: String, _ address6: String, _ gateway: String? = nil,
        _ gateway6: String? = nil
    ) throws {
        try shell("ip link set \(link) up; ip address add \(address) dev \(link)")
        try shell("ip address add \(address6) dev \(link) nodad")
        if let gateway { try shell("ip route add default via \(gateway)") }
        if let gateway6 { try shell("ip -6 route add default via \(gateway6)") }
    }

    /// Talks to a server from here, with the probe.
    func talk(to address: String, _ port: Int, udp: Bool = false) throws -> Outcome {
        try run(
            command([Products.probe, "connect", address, "\(port)"] + (udp ? ["udp"] : [])))
    }

    /// The links, rules and addresses in use that sandboxes have made here.
    func remains() throws -> [String] {
        let links = try shell("ls /proc/sys/net/ipv4/conf").lines.filter {
            $0.hasPrefix("veth") || $0.hasPrefix("hull")
        }
        let rules = try shell("nft list ruleset").lines
        var status = stat()
        stat("/proc/\(process)/ns/net", &status)
        let registry = "/run/hull/networks/\(status.st_ino)"
        let files = (try? FileManager.default.subpathsOfDirectory(atPath: registry)) ?? []
        return links + rules + files.map { registry + "/" + $0 }
    }

    /// Waits until nothing remains: namespaces are taken down by the kernel in its own time.
    func expectNothingLeft(location: SourceLocation = #_sourceLocation) throws {
        var left: [String] = []
        let deadline = Date(timeIntervalSinceNow: 3)
        repeat {
            left = try remains()
            if left.isEmpty { return }
            usleep(10_000)
        } while Date() < deadline
        Issue.record("left behind: \(left)", sourceLocation: location)
    }
}
