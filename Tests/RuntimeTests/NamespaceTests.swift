import CLinux
import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// `linux.namespaces`, made and joined, and what is written in them.
    @Suite("Namespaces") struct NamespaceTests {
        /// A kind of the configuration and its file in /proc/PID/ns.
        private static let kinds = [
            ("pid", "pid"), ("ipc", "ipc"), ("uts", "uts"), ("mount", "mnt"), ("network", "net"),
            ("cgroup", "cgroup"),
        ]

        @Test("Each namespace that is named is a new one, and no other")
        func makes() throws {
            for left in ["ipc", "uts", "network", "cgroup", ""] {
                let container = try Container {
                    let kept = NamespaceTests.kinds.map(\.0).filter { $0 != left }
                    $0[at: "linux/namespaces"] = .array(kept.map(Configuration.namespace))
                    if left == "uts" { $0[at: "hostname"] = nil }
                    if left == "network" {
                        // Its sysfs can't be mounted; the host's own is no part of this.
                        $0.remove(from: "mounts") { $0[at: "type"] == "sysfs" }
                    }
                }
                try container.running { (process) throws in
                    for (kind, file) in NamespaceTests.kinds {
                        let isNew =
                            try process.namespace(file) != Observed.host.namespace(file)
                        #expect(isNew == (kind != left), "\(kind) without \(left)")
                    }
                    #expect(
                        try process.namespace("user") == Observed.host.namespace("user"))
                }
            }
        }

        @Test(
            "A namespace is joined by its path", arguments: ["ipc", "uts", "net", "pid", "cgroup"])
        func joins(file: String) throws {
            let kind = file == "net" ? "network" : file
            let flag = file == "net" ? "--net" : "--\(file)"
            let more = file == "pid" ? ["--fork", "--kill-child"] : []
            let holder = try Program(["unshare", flag] + more + ["sleep", "1000"])
            defer {
                holder.signal(SIGKILL)
                _ = try? holder.wait()
            }
            let holding = try holder.sandboxed(named: "sleep")
            try waitUntil("the namespace") {
                try holding.namespace(file) != Observed.host.namespace(file)
            }
            let container = try Container {
                let others = NamespaceTests.kinds.map(\.0).filter { $0 != kind }
                let joined = Configuration.namespace(kind, "/proc/\(holding.process)/ns/\(file)")
                $0[at: "linux/namespaces"] = .array(
                    others.map(Configuration.namespace) + [joined])
                if file == "uts" { $0[at: "hostname"] = nil }
            }
            try container.running { (process) throws in
                #expect(try process.namespace(file) == holding.namespace(file))
                #expect(try process.namespace("mnt") != Observed.host.namespace("mnt"))
            }
        }

        @Test("A mount namespace is joined by its path")
        func joinsMounts() throws {
            let holder = try Program(["unshare", "--mount", "sleep", "1000"])
            defer {
                holder.signal(SIGKILL)
                _ = try? holder.wait()
            }
            try waitUntil("the namespace") {
                let one = Observed(process: holder.process)
                return try one.name == "sleep"
                    && one.namespace("mnt") != Observed.host.namespace("mnt")
            }
            let container = try Container {
                $0[at: "linux/namespaces"] = [
                    Configuration.namespace("pid"),
                    Configuration.namespace("mount", "/proc/\(holder.process)/ns/mnt"),
                ]
                $0[at: "hostname"] = nil
                $0[at: "mounts"] = []
                $0[at: "linux/maskedPaths"] = nil
                $0[at: "linux/readonlyPaths"] = nil
            }
            let outcome = try container.runDetached()
            // runc refuses it with a reason; what may not be is another namespace.
            guard outcome.code == 0 else { return }
            let process = try container.process()
            #expect(
                try process.namespace("mnt")
                    == Observed(process: holder.process).namespace("mnt"))
            try container.delete()
        }

        @Test("A path that is no namespace, or one of another kind, is refused")
        func refusesPaths() throws {
            for path in ["/etc/passwd", "/proc/self/ns/uts", "/nosuch", "relative"] {
                let container = try Container {
                    $0[at: "linux/namespaces"] = [
                        Configuration.namespace("mount"), Configuration.namespace("pid"),
                        Configuration.namespace("network", path),
                    ]
                    $0[at: "hostname"] = nil
                }
                try expectRefused(container)
            }
        }

        @Test("Names are those of the configuration, and the host's stay")
        func hasNames() throws {
            let (host, domain) = (Place.randomWord(), Place.randomWord())
            let before = try Observed.read("/proc/sys/kernel/hostname")
            let container = try Container(
                shell: "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname"
            ) {
                $0[at: "hostname"] = .string(host)
                if Runtime.has(.domainName) { $0[at: "domainname"] = .string(domain) }
            }
            let lines = try container.output().split(separator: "\n").map(String.init)
            #expect(lines.first == host)
            if Runtime.has(.domainName) { #expect(lines.last == domain) }
            #expect(try Observed.read("/proc/sys/kernel/hostname") == before)
            // The attack: root of the container gives the host another name.
            let attacked = try Container {
                $0[at: "process/capabilities/bounding"] = ["CAP_SYS_ADMIN"]
                $0[at: "process/capabilities/effective"] = ["CAP_SYS_ADMIN"]
                $0[at: "process/capabilities/permitted"] = ["CAP_SYS_ADMIN"]
            }
            _ = try attacked.attack("set-hostname", Place.randomWord())
            #expect(try Observed.read("/proc/sys/kernel/hostname") == before)
        }

        @Test("Host name without a UTS namespace is refused")
        func refusesName() throws {
            let container = try Container {
                $0[at: "linux/namespaces"] = [
                    Configuration.namespace("mount"), Configuration.namespace("pid"),
                ]
            }
            try expectRefused(container)
        }

        @Test("Kernel parameters are set inside and nowhere else")
        func setsParameters() throws {
            let value = Int.random(in: 1000..<30000)
            let path = "/proc/sys/kernel/msgmax"
            let before = try Observed.read(path)
            let container = try Container(
                shell: "cat \(path) /proc/sys/net/ipv4/ip_default_ttl; exec sleep 1000"
            ) {
                $0[at: "linux/sysctl"] = [
                    "kernel.msgmax": .string("\(value)"), "net.ipv4.ip_default_ttl": "77",
                ]
            }
            try container.running { (_) throws in
                try waitUntil("the values") { container.log == "\(value)\n77\n" }
                #expect(try Observed.read(path) == before)
            }
        }

        @Test("Kernel parameters of the whole machine are refused")
        func refusesParameters() throws {
            for (name, value) in [
                ("vm.swappiness", "1"), ("kernel.panic", "7"), ("kernel.core_pattern", "|/bin/x"),
                ("net.ipv4/../../kernel/panic", "7"), ("kernel.msgmax/../panic", "7"),
            ] {
                let file = "/proc/sys/" + name.replacingOccurrences(of: ".", with: "/")
                let before = try? Observed.read(file)
                let container = try Container {
                    $0[at: "linux/sysctl"] = .object([JSON.Member(name, .string(value))])
                }
                try expectRefused(container, naming: name)
                #expect((try? Observed.read(file)) == before)
            }
            // Those of a namespace that the container shares with the host.
            let container = try Container {
                $0[at: "linux/namespaces"] = [
                    Configuration.namespace("mount"), Configuration.namespace("pid"),
                    Configuration.namespace("uts"),
                ]
                $0[at: "linux/sysctl"] = ["kernel.msgmax": "777"]
            }
            let before = try Observed.read("/proc/sys/kernel/msgmax")
            try expectRefused(container, naming: "kernel.msgmax")
            #expect(try Observed.read("/proc/sys/kernel/msgmax") == before)
        }

        @Test("Clocks are those of the configuration", .needs(.timeOffsets))
        func hasClocks() throws {
            let days = Int.random(in: 2..<300)
            let container = try Container(shell: "cat /proc/uptime") {
                $0.append(Configuration.namespace("time"), at: "linux/namespaces")
                $0[at: "linux/timeOffsets"] = [
                    "boottime": ["secs": .integer(days * 86400), "nanosecs": 0],
                    "monotonic": ["secs": .integer(days * 86400)],
                ]
            }
            let seconds = try #require(Double(container.output().split(separator: " ").first ?? ""))
            let own = try #require(
                Double(Observed.read("/proc/uptime").split(separator: " ").first ?? ""))
            #expect(abs(seconds - own - Double(days * 86400)) < 60)
            container.config[at: "process/args"] = ["sleep", "1000"]
            try container.running { (process) throws in
                #expect(try process.namespace("time") != Observed.host.namespace("time"))
            }
        }

        @Test("A time namespace whose clocks are the host's is one, too", .needs(.timeOffsets))
        func hasHostsClocks() throws {
            let container = try Container {
                $0.append(Configuration.namespace("time"), at: "linux/namespaces")
            }
            try container.running { (process) throws in
                #expect(try process.namespace("time") != Observed.host.namespace("time"))
            }
        }

        @Test("Inside a cgroup namespace, the container's own cgroup is the root")
        func hasOwnRoot() throws {
            let container = try Container(shell: "cat /proc/self/cgroup")
            let inside = try container.output()
            let line = inside.split(separator: "\n").first { $0.contains(":pids:") }
            if let line { #expect(line.hasSuffix(":pids:/"), "\(inside)") }
            container.config[at: "linux/namespaces"] = .array(
                ["pid", "ipc", "uts", "mount", "network"].map(Configuration.namespace))
            let outside = try container.output()
            #expect(outside.contains(container.cgroup), "\(outside)")
        }

        // The attacks that these namespaces stop, with each of them taken out ----------

        @Test("Processes of the host are out of reach, and in reach without the namespace")
        func keepsProcesses() throws {
            let victim = try Program(["sleep", "1000"])
            defer {
                victim.signal(SIGKILL)
                _ = try? victim.wait()
            }
            for isApart in [true, false] {
                let container = try Container {
                    let kinds = ["mount", "ipc", "uts", "network"] + (isApart ? ["pid"] : [])
                    $0[at: "linux/namespaces"] = .array(kinds.map(Configuration.namespace))
                }
                let verdict = try container.attack("signal", "\(victim.process)", "0")
                #expect(verdict.gotThrough == !isApart, "\(verdict)")
            }
        }

        @Test("Abstract sockets of the host are out of reach, and in reach without the namespace")
        func keepsSockets() throws {
            let name = Place.randomWord()
            let script = """
                import socket, sys, time
                s = socket.socket(socket.AF_UNIX); s.bind("\\0" + sys.argv[1]); s.listen()
                print("ready", flush=True)
                c = s.accept()[0]; c.send(b"hello"); c.recv(9)
                """
            let server = try Program(["python3", "-c", script, name])
            defer {
                server.signal(SIGKILL)
                _ = try? server.wait()
            }
            try server.waitForOutput("ready")
            for isApart in [true, false] {
                let container = try Container {
                    let kinds = ["mount", "ipc", "uts", "pid"] + (isApart ? ["network"] : [])
                    $0[at: "linux/namespaces"] = .array(kinds.map(Configuration.namespace))
                    $0[at: "mounts"] = [Configuration.mount("/proc", "proc", "proc")]
                }
                let verdict = try container.attack("abstract-socket", name)
                #expect(verdict.gotThrough == !isApart, "\(verdict)")
            }
        }

        @Test("Message queues of the host are out of reach, and in reach without the namespace")
        func keepsQueues() throws {
            let name = Place.randomWord()
            let queue = open_message_queue(name, O_CREAT | O_RDWR, 0o666)
            try #require(queue >= 0)
            defer {
                close(queue)
                remove_message_queue(name)
            }
            for isApart in [true, false] {
                let container = try Container {
                    let kinds = ["mount", "network", "uts", "pid"] + (isApart ? ["ipc"] : [])
                    $0[at: "linux/namespaces"] = .array(kinds.map(Configuration.namespace))
                    $0[at: "mounts"] = [Configuration.mount("/proc", "proc", "proc")]
                }
                let verdict = try container.attack("message-queue", name)
                #expect(verdict.gotThrough == !isApart, "\(verdict)")
            }
        }
    }
}
