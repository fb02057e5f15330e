import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// Stage 4: a network of its own.
    @Suite("Stage 4, network") struct Stage04Tests {
        @Test("The network namespace is new, and what stage 4 does not isolate is the host's")
        func makesNamespaces() throws {
            try withLab { lab, rootfs in
                let running = try start(on: lab.host, rootfs, ["sleep", "1000"])
                let sandboxed = try running.sandboxed(named: "sleep")
                let host = Observed(process: lab.host.process)
                for kind in ["net", "mnt", "pid"] {
                    #expect(try sandboxed.namespace(kind) != host.namespace(kind))
                }
                for kind in ["uts", "ipc", "user", "cgroup"] {
                    #expect(try sandboxed.namespace(kind) == host.namespace(kind))
                }
                try stop(running)
            }
        }

        @Test("The cable's far end has the address, the host has the bridge, and both go")
        func laysCable() throws {
            try withLab { lab, rootfs in
                let running = try start(on: lab.host, rootfs, ["sleep", "1000"])
                let sandboxed = try running.sandboxed(named: "sleep")
                let inside = try run([
                    "nsenter", "-n", "-t", "\(sandboxed.process)", "ip", "address",
                ])
                #expect(inside.output.contains("inet 10.77.0.2/16"), "\(inside)")
                #expect(inside.output.contains("inet6 fd68:756c:6c::2/64"), "\(inside)")
                let outside = try lab.host.shell("ip -o link show master hull0").lines
                #expect(outside.count == 1 && outside[0].contains("veth"), "\(outside)")
                try stop(running)
            }
        }

        // The attacks.

        @Test("What passes on the host's links is read in stage 3 and not in stage 4")
        func stopsSniffing() throws {
            try withLab { lab, rootfs in
                let word = Place.randomWord()
                for (stage, gets) in [(Products.overlay, true), (Products.network, false)] {
                    let sniffer = try Program(
                        lab.host.command([stage, rootfs, "hull-probe", "sniff", "5", word]))
                    try waitUntil("the sniffer") { sniffer.errors.contains("listening") }
                    while !sniffer.hasEnded {
                        // A datagram to nobody, with the word in it.
                        _ = try run(
                            lab.host.command(["bash", "-c", "echo \(word) >/dev/udp/192.0.2.1/9"]))
                    }
                    let verdict = try Verdict(sniffer.wait())
                    #expect(verdict.gotThrough == gets, "\(verdict)")
                }
            }
        }

        @Test("A port of the host's is taken in stage 3 and not in stage 4")
        func stopsBinding() throws {
            try withLab { lab, rootfs in
                let word = Place.randomWord()
                let port = Int.random(in: 20000...30000)
                for (stage, gets) in [(Products.overlay, true), (Products.network, false)] {
                    let server = try Program(
                        lab.host.command(
                            [stage, rootfs, "hull-probe", "bind-port", "\(port)", word, "2"]))
                    try waitUntil("the server") { server.errors.contains("listening") }
                    let answer = try lab.host.talk(to: "192.0.2.2", port)
                    #expect(answer.output.contains(word) == gets, "\(answer)")
                    let verdict = try Verdict(server.wait())
                    #expect(verdict.gotThrough == gets, "\(verdict)")
                }
            }
        }

        @Test("The host's loopback is reached in stage 3 and not in stage 4")
        func hidesLoopback() throws {
            try withLab { lab, rootfs in
                let word = Place.randomWord()
                let port = Int.random(in: 20000...30000)
                for (stage, gets) in [(Products.overlay, true), (Products.network, false)] {
                    let server = try serve(word, "\(port)", on: lab.host)
                    let attack = [stage, rootfs, "hull-probe", "connect", "127.0.0.1", "\(port)"]
                    let verdict = try Verdict(run(lab.host.command(attack)))
                    #expect(verdict.gotThrough == gets, "\(verdict)")
                    #expect(verdict.description.contains(word) == gets, "\(verdict)")
                    server.signal(SIGKILL)
                    try server.wait()
                }
            }
        }

        @Test("An abstract socket of the host's is reached in stage 3 and not in stage 4")
        func hidesAbstractSockets() throws {
            try withLab { lab, rootfs in
                let name = Place.randomWord()
                let server = try Program(
                    lab.host.command([
                        "python3", "-c",
                        """
                        import socket
                        s = socket.socket(socket.AF_UNIX); s.bind("\\0\(name)"); s.listen()
                        print("listening", flush=True)
                        while True: c = s.accept()[0]; c.recv(99); c.send(b"\(name)\\n"); c.close()
                        """,
                    ]))
                try server.waitForOutput("listening")
                for (stage, gets) in [(Products.overlay, true), (Products.network, false)] {
                    let attack = [stage, rootfs, "hull-probe", "abstract-socket", name]
                    let verdict = try Verdict(run(lab.host.command(attack)))
                    #expect(verdict.gotThrough == gets, "\(verdict)")
                }
                server.signal(SIGKILL)
                try server.wait()
            }
        }

        // Who reaches whom.

        @Test(
            "A published port is reached from outside, from the host and over its loopback",
            arguments: [false, true])
        func publishes(_ udp: Bool) throws {
            try withLab { lab, rootfs in
                let port = Int.random(in: 20000...30000)
                let word = Place.randomWord()
                let kind = udp ? "/udp" : ""
                for (from, address) in [
                    (lab.client, "192.0.2.2"), (lab.host, "192.0.2.2"), (lab.host, "127.0.0.1"),
                ] {
                    let running = try start(
                        on: lab.host, ["-p", "\(port):53\(kind)"], rootfs,
                        ["hull-probe", "bind-port", "53\(kind)", word])
                    try waitUntil("the server") { running.errors.contains("listening") }
                    let answer = try from.talk(to: address, port, udp: udp)
                    #expect(answer.output.contains(word), "\(address): \(answer)")
                    try running.wait()
                }
            }
        }

        @Test("A port published on one address is reached on that one only")
        func publishesOnAddress() throws {
            try withLab { lab, rootfs in
                let running = try start(
                    on: lab.host, ["-p", "127.0.0.1:8080:80"], rootfs, web)
                try waitUntil("the server") {
                    try lab.host.talk(to: "127.0.0.1", 8080).output.contains("HTTP")
                }
                #expect(try lab.host.talk(to: "192.0.2.2", 8080).code == 1)
                #expect(try lab.client.talk(to: "192.0.2.2", 8080).code == 1)
                try stop(running)
            }
        }

        @Test("IPv6: published ports, and sandbox to sandbox")
        func speaksIPv6() throws {
            try withLab { lab, rootfs in
                let running = try start(on: lab.host, ["-p", "8080:80"], rootfs, web)
                try waitUntil("the server") {
                    try lab.host.talk(to: "2001:db8:1::2", 8080).output.contains("HTTP")
                }
                let outside = try lab.client.talk(to: "2001:db8:1::2", 8080)
                #expect(outside.output.contains("HTTP"), "\(outside)")
                let beside = try talk(on: lab.host, rootfs, to: "fd68:756c:6c::2", 80)
                #expect(beside.output.contains("HTTP"), "\(beside)")
                try stop(running)
            }
        }

        @Test("Sandboxes of one network reach each other, those of two do not")
        func isolatesNetworks() throws {
            try withLab { lab, rootfs in
                let running = try start(on: lab.host, ["-p", "8080:80"], rootfs, web)
                try waitUntil("the server") {
                    try lab.host.talk(to: "10.77.0.2", 80).output.contains("HTTP")
                }
                let beside = try talk(on: lab.host, rootfs, to: "10.77.0.2", 80)
                #expect(beside.output.contains("HTTP"), "\(beside)")
                for address in ["10.77.0.2", "fd68:756c:6c::2"] {
                    let other = try talk(
                        on: lab.host, ["--network", "other"], rootfs, to: address, 80)
                    #expect(other.code == 1, "\(other)")
                }
                // What is published, is so for all.
                let published = try talk(
                    on: lab.host, ["--network", "other"], rootfs, to: "192.0.2.2", 8080)
                #expect(published.output.contains("HTTP"), "\(published)")
                try stop(running)
            }
        }

        @Test("Nobody outside reaches a port that is not published, even with a route")
        func protectsUnpublished() throws {
            try withLab { lab, rootfs in
                let running = try start(on: lab.host, rootfs, web)
                try waitUntil("the server") {
                    try lab.host.talk(to: "10.77.0.2", 80).output.contains("HTTP")
                }
                try lab.router.shell("ip route add 10.77.0.0/16 via 192.0.2.2")
                let routed = try lab.router.talk(to: "10.77.0.2", 80)
                #expect(routed.code == 1, "\(routed)")
                try stop(running)
            }
        }

        @Test("What a sandbox sends beyond the host comes from the host's address")
        func masquerades() throws {
            try withLab { lab, rootfs in
                let word = Place.randomWord()
                let server = try serve(word, "80", on: lab.client)
                let answer = try talk(on: lab.host, rootfs, to: "198.51.100.9", 80)
                // The router knows no way back to 10.77.0.2.
                #expect(answer.output.contains(word), "\(answer)")
                try server.wait()
            }
        }

        // Other networks.

        @Test("--network none has loopback and nothing else; host is the host's own")
        func hasModes() throws {
            try withLab { lab, rootfs in
                let script = "ls /sys/class/net; ping -c 1 127.0.0.1 >/dev/null && echo alive"
                let none = try run(
                    lab.host.command([
                        Products.network, "--network", "none", rootfs, "sh", "-c", script,
                    ]))
                #expect(none.lines == ["lo", "alive"], "\(none)")
                let host = try run(
                    lab.host.command(
                        [Products.network, "--network", "host", rootfs]
                            + ["readlink", "/proc/self/ns/net"]))
                #expect(try host.line == Observed(process: lab.host.process).namespace("net"))
            }
        }

        @Test("--network container:ID is the other one's network, and one that has ended has none")
        func joins() throws {
            try withLab { lab, rootfs in
                let running = try start(on: lab.host, rootfs, ["sleep", "1000"])
                let sandboxed = try running.sandboxed(named: "sleep")
                let joined = try run(
                    lab.host.command(
                        [Products.network, "--network", "container:\(sandboxed.process)", rootfs]
                            + ["readlink", "/proc/self/ns/net"]))
                #expect(try joined.line == sandboxed.namespace("net"), "\(joined)")
                try stop(running)
                let gone = try run(
                    lab.host.command(
                        [Products.network, "--network", "container:\(sandboxed.process)", rootfs]
                            + ["true"]))
                expectOneLine(gone, code: 125, naming: "\(sandboxed.process)", "ESRCH")
            }
        }

        @Test("macvlan is a machine of its own on the host's network")
        func hasMacvlan() throws {
            try withLab { lab, rootfs in
                let options = [
                    "--network", "macvlan:up0", "--ip", "192.0.2.77/24", "--gateway", "192.0.2.1",
                ]
                let running = try start(on: lab.host, options, rootfs, web)
                try waitUntil("the server") {
                    try lab.client.talk(to: "192.0.2.77", 80).output.contains("HTTP")
                }
                try stop(running)
            }
        }

        @Test("/etc/hosts has the sandbox's own address, and no name server is on its loopback")
        func writesFiles() throws {
            try withLab { lab, rootfs in
                let hosts = try run(
                    lab.host.command(
                        [Products.hull, "run", "--rm", "--hostname", "boxname", "--rootfs", rootfs]
                            + ["cat", "/etc/hosts"]))
                #expect(hosts.output.contains("10.77.0.2\tboxname"), "\(hosts)")
                let servers = try run(
                    lab.host.command(
                        [Products.network, "--dns", "203.0.113.53", rootfs]
                            + ["cat", "/etc/resolv.conf"]))
                #expect(servers.output.contains("nameserver 203.0.113.53"), "\(servers)")
                #expect(!servers.output.contains("nameserver 127."), "\(servers)")
                // They were mounted, and nothing was written into the image.
                #expect(access(rootfs + "/etc/hosts", F_OK) != 0)
            }
        }

        // Many at once, and owners that are killed.

        @Test("Twenty at once have twenty addresses and one bridge")
        func runsTwenty() throws {
            try withLab { lab, rootfs in
                let script = "ip -4 -o address show eth0; read go"
                let all = try (0..<20).map { _ in
                    try Program(
                        lab.host.command([Products.network, rootfs, "sh", "-c", script]),
                        input: .pipe)
                }
                for one in all { try one.waitForOutput("inet ", 30) }
                let addresses = all.map { one in
                    one.output.split(separator: " ").first { $0.hasPrefix("10.77.0.") } ?? ""
                }
                #expect(Set(addresses).count == 20 && !addresses.contains(""), "\(addresses)")
                #expect(try lab.host.shell("ip -o link show master hull0").lines.count == 20)
                for one in all { one.closeInput() }
                for one in all { _ = try one.wait(30) }
            }
        }

        @Test("Whenever the owner is killed, the next finds or makes a clean network")
        func survivesKills() throws {
            try withLab { lab, rootfs in
                for _ in 1...25 {
                    let killed = try start(
                        on: lab.host, ["-p", "8080:80", "-p", "8080:80/udp"], rootfs,
                        ["sleep", "1000"])
                    let delay = UInt32.random(in: 0...120_000)
                    usleep(delay)
                    let tree = Observed(process: killed.process).descendants
                    killed.signal(SIGKILL)
                    try killed.wait()
                    try waitUntil("the end of \(tree)") {
                        tree.allSatisfy { !Observed(process: $0).isAlive }
                    }
                    // The same port: nothing of the killed one may be in the way.
                    let next = try run(
                        lab.host.command(
                            [
                                Products.network, "-p", "8080:80", "-p", "8080:80/udp", rootfs,
                                "true",
                            ]
                        ))
                    #expect(next.code == 0, "after \(delay) µs: \(next)")
                    try lab.host.expectNothingLeft()
                }
            }
        }

        @Test("What a killed owner published is withdrawn by the next while others run")
        func withdrawsOfKilled() throws {
            try withLab { lab, rootfs in
                let other = try start(on: lab.host, rootfs, ["sleep", "1000"])
                _ = try other.sandboxed(named: "sleep")
                let killed = try start(on: lab.host, ["-p", "8080:80"], rootfs, ["sleep", "1000"])
                let sandboxed = try killed.sandboxed(named: "sleep")
                killed.signal(SIGKILL)
                try killed.wait()
                try waitUntil("its end") { !sandboxed.isAlive }
                try run(lab.host.command([Products.network, rootfs, "true"]))
                let rules = try lab.host.shell("nft list ruleset").output
                #expect(rules.contains("table inet hull0") && !rules.contains("8080"), "\(rules)")
                try stop(other)
            }
        }

        // Bad input.

        @Test(
            "A port that is taken, by a program or by a sandbox, is refused",
            arguments: ["", "/udp"])
        func refusesTakenPorts(_ kind: String) throws {
            try withLab { lab, rootfs in
                let server = try serve("x", "8080\(kind)", on: lab.host)
                let refused = try run(
                    lab.host.command([Products.network, "-p", "8080:80\(kind)", rootfs, "true"]))
                expectOneLine(refused, code: 125, naming: "8080:80\(kind)", "EADDRINUSE")
                try lab.host.expectNothingLeft()
                server.signal(SIGKILL)
                try server.wait()
                let first = try start(
                    on: lab.host, ["-p", "8080:80\(kind)"], rootfs, ["sleep", "1000"])
                _ = try first.sandboxed(named: "sleep")
                let second = try run(
                    lab.host.command(
                        [Products.network, "--network", "other", "-p", "8080:80\(kind)"]
                            + [rootfs, "true"]))
                expectOneLine(second, code: 125, naming: "8080:80\(kind)", "EADDRINUSE")
                try stop(first)
            }
        }

        @Test("A pool without a free address is said to be full")
        func refusesFullPool() throws {
            try withLab { lab, rootfs in
                let small = ["--network", "small", "--subnet", "10.99.0.0/30"]
                let first = try start(on: lab.host, small, rootfs, ["sleep", "1000"])
                _ = try first.sandboxed(named: "sleep")
                let second = try run(
                    lab.host.command([Products.network] + small + [rootfs, "true"]))
                expectOneLine(second, code: 125, naming: "10.99.0.0/30", "EADDRNOTAVAIL")
                try stop(first)
                let third = try run(
                    lab.host.command([Products.network] + small + [rootfs, "true"]))
                #expect(third.code == 0, "\(third)")
            }
        }

        @Test("What can't be is refused in one line, and nothing is half done")
        func refusesNonsense() throws {
            try withLab { lab, rootfs in
                try lab.host.shell("ip link add hull-mine type bridge")
                for (options, object) in [
                    (["--network", "mine"], "hull-mine"),
                    (["--network", "UPPER"], "UPPER"),
                    (["--network", "waytoolongname"], "waytoolongname"),
                    (["--network", ""], "\"\""),
                    (["--network", "container:x"], "x"),
                    (["--network", "macvlan:nolink", "--ip", "192.0.2.7/24"], "nolink"),
                    (["--network", "macvlan:up0"], "up0"),
                    (["--network", "none", "-p", "1:1"], "--publish"),
                    (["--network", "o", "--subnet", "192.0.2.0/25"], "192.0.2.0/25"),
                    (["--subnet", "10.0.0.0/99"], "10.0.0.0/99"),
                    (["--subnet", "word"], "word"),
                    (["--ip", "10.76.0.1"], "10.76.0.1"),
                    (["--ip", "10.77.0.1"], "10.77.0.1"),
                    (["--ip", "10.77.255.255"], "10.77.255.255"),
                    (["--ip", "::1"], "::1"),
                    (["--dns", "name"], "name"),
                    (["-p", "0:80"], "0:80"), (["-p", "80"], "80"), (["-p", "1:65536"], "1:65536"),
                    (["-p", "::1:80:80"], "::1:80:80"), (["-p", "1:2/sctp"], "1:2/sctp"),
                    (["-p", "203.0.113.1:80:80"], "203.0.113.1:80:80"),
                ] {
                    let got = try run(
                        lab.host.command([Products.network] + options + [rootfs, "true"]))
                    expectOneLine(got, code: 125, naming: object)
                }
                try lab.host.shell("ip link delete hull-mine")
            }
        }

        // The doctor.

        @Test("hull doctor network finds nothing on a good host, and each obstacle by its name")
        func diagnoses() throws {
            try withLab { lab, rootfs in
                let running = try start(on: lab.host, rootfs, ["sleep", "1000"])
                _ = try running.sandboxed(named: "sleep")
                let good = try run(lab.host.command([Products.hull, "doctor", "network"]))
                #expect(good.code == 0, "\(good)")
                for (obstacle, check, end) in [
                    (
                        "nft 'add table ip x; add chain ip x f "
                            + "{ type filter hook forward priority 0; policy drop; }'",
                        "FORWARD policy", "nft delete table ip x"
                    ),
                    (
                        "sysctl -qw net.ipv4.ip_forward=0", "IPv4 forwarding",
                        "sysctl -qw net.ipv4.ip_forward=1"
                    ),
                    (
                        "ip route add 10.77.9.0/24 via 192.0.2.1", "subnet",
                        "ip route delete 10.77.9.0/24"
                    ),
                    ("nft flush chain inet hull0 leaving", "NAT of bridge", "true"),
                    ("nft delete table inet hull0", "NAT of bridge", "true"),
                ] {
                    try lab.host.shell(obstacle)
                    let bad = try run(
                        lab.host.command([Products.hull, "doctor", "network", "--json"]))
                    #expect(bad.code == 1, "\(obstacle): \(bad)")
                    let found = try JSONSerialization.jsonObject(with: Data(bad.output.utf8))
                    let missing = (found as? [[String: Any]] ?? []).filter {
                        $0["verdict"] as? String == "missing"
                    }
                    #expect(missing.count == 1, "\(obstacle): \(bad)")
                    #expect(missing.first?["check"] as? String == check, "\(obstacle): \(bad)")
                    #expect(missing.first?["remedy"] as? String != "", "\(bad)")
                    try lab.host.shell(end)
                }
                try stop(running)
            }
        }

        // Helpers.

        private let web = ["httpd", "-f", "-p", "[::]:80"]

        /// Hosts of our own; when the body is done, nothing may be left on the sandboxes' one.
        private func withLab(_ body: (NetworkLab, String) throws -> Void) throws {
            let lab = try NetworkLab()
            defer { lab.end() }
            try body(lab, place().rootfs())
            try lab.host.expectNothingLeft()
        }

        private func start(
            on host: LabHost, _ rootfs: String, _ command: [String]
        ) throws -> Program {
            try start(on: host, [], rootfs, command)
        }

        private func start(
            on host: LabHost, _ options: [String], _ rootfs: String, _ command: [String]
        ) throws -> Program {
            try Program(host.command([Products.network] + options + [rootfs] + command))
        }

        /// Ends the command from outside: its owner then clears up.
        private func stop(_ running: Program) throws {
            let inside = try running.sandboxed()
            kill(inside.process, SIGKILL)
            #expect(try running.wait().code == 128 + SIGKILL)
        }

        private func talk(
            on host: LabHost, _ rootfs: String, to address: String, _ port: Int
        ) throws -> Outcome {
            try talk(on: host, [], rootfs, to: address, port)
        }

        private func talk(
            on host: LabHost, _ options: [String], _ rootfs: String, to address: String,
            _ port: Int
        ) throws -> Outcome {
            try run(
                host.command(
                    [Products.network] + options
                        + [rootfs, "hull-probe", "connect", address, "\(port)"]))
        }

        /// A program on a host that answers a word, once.
        private func serve(_ word: String, _ port: String, on host: LabHost) throws -> Program {
            let server = try Program(
                host.command([Products.probe, "bind-port", port, word, "60"]))
            try waitUntil("the server") { server.errors.contains("listening") }
            return server
        }
    }
}
