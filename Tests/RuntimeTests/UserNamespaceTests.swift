import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// User namespaces: root inside is nobody outside.
    @Suite("User namespaces") struct UserNamespaceTests {
        private let base = Int.random(in: 100_000..<200_000)

        private func container(_ command: [String] = ["sleep", "1000"]) throws -> Container {
            try Container.mapped(at: base, command)
        }

        @Test("IDs are mapped, and root inside is an ordinary user outside")
        func maps() throws {
            let container = try container()
            try container.running { (process) throws in
                #expect(try process.namespace("user") != Observed.host.namespace("user"))
                for file in ["uid_map", "gid_map"] {
                    let words = try Observed.read("/proc/\(process.process)/\(file)")
                        .split(whereSeparator: \.isWhitespace).map(String.init)
                    #expect(words == ["0", "\(base)", "4096"])
                }
                #expect(try process.status("Uid") == Array(repeating: "\(base)", count: 4))
                #expect(try process.status("Gid") == Array(repeating: "\(base)", count: 4))
                let entered = try container.exec([], "id", "-u")
                #expect(entered.line == "0", "\(entered)")
            }
        }

        @Test(
            "With a user namespace of its own, it joins what is the host's",
            arguments: ["net", "uts"])
        func joinsHosts(name: String) throws {
            let kind = name == "net" ? "network" : name
            let holder = try Program(["unshare", "--\(name)", "sleep", "1000"])
            defer {
                Foundation.kill(holder.process, SIGKILL)
                _ = try? holder.wait()
            }
            let host = Observed(process: holder.process)
            try waitUntil("a namespace") {
                try host.namespace(name) != Observed.host.namespace(name)
            }
            let container = try container()
            container.config[at: "hostname"] = nil
            container.config[at: "linux/namespaces"] = .array(
                (container.config[at: "linux/namespaces"]?.elements ?? []).map {
                    $0[at: "type"]?.string != kind
                        ? $0
                        : Configuration.namespace(kind, "/proc/\(holder.process)/ns/\(name)")
                })
            // A sysfs shows the network, and is its owner's to mount.
            try container.running { (process) throws in
                #expect(try process.namespace(name) == host.namespace(name))
                #expect(try process.namespace("user") != host.namespace("user"))
            }
            #expect(
                try Observed(process: getpid()).namespace(name) == Observed.host.namespace(name))
        }

        @Test("Without a cgroup namespace, its cgroups are shown beside copies of the host's")
        func showsGroups() throws {
            guard !HostControlGroups.v1.isEmpty else { return }
            let container = try container([
                "sh", "-c",
                "cat /sys/fs/cgroup/pids/cgroup.procs | wc -l; test -e /sys/fs/cgroup/pids/release_agent; echo $?",
            ])
            container.config.remove(from: "linux/namespaces") { $0[at: "type"] == "cgroup" }
            container.config.remove(from: "mounts") { $0[at: "destination"] == "/sys" }
            for mount in [
                Configuration.mount(
                    "/sys", "none", "/sys", ["rbind", "nosuid", "noexec", "nodev"]),
                Configuration.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["ro"]),
            ] { container.config.append(mount, at: "mounts") }
            // Its own, which is not the root of the hierarchy.
            let lines = try container.output().split(separator: "\n")
            #expect(lines.last == "1" && lines.first != "0", "\(lines)")
        }

        @Test("A file of users that root inside may not read is no obstacle for numbers")
        func passesOverUsers() throws {
            let container = try container(["true"])
            for name in ["passwd", "group"] {
                let file = try place().write("", to: container.rootfs + "/etc/" + name, mode: 0o600)
                chown(file, 0, 0)
            }
            let outcome = try container.run()
            #expect(outcome.ending == .exited(0), "\(outcome)")
        }

        @Test("What devices are bound on can't be executed, nor give anyone's rights")
        func bindsDevices() throws {
            let container = try container()
            try container.running { (process) throws in
                let mount = try process.mounts().first { $0.target == "/dev/null" }
                let options = mount?.options ?? []
                #expect(options.contains("nosuid") && options.contains("noexec"), "\(options)")
            }
        }

        @Test("A user inside is the mapped one outside")
        func mapsUsers() throws {
            let container = try container()
            container.config[at: "process/user"] = ["uid": 77, "gid": 78, "additionalGids": [79]]
            try container.running { (process) throws in
                #expect(try process.status("Uid") == Array(repeating: "\(base + 77)", count: 4))
                #expect(try process.status("Gid") == Array(repeating: "\(base + 78)", count: 4))
                #expect(try process.status("Groups") == ["\(base + 79)"])
            }
        }

        @Test(
            "Files of the host's root stay closed to root inside, and don't without the namespace")
        func keepsFiles() throws {
            let word = Place.randomWord()
            let file = try place().write(word, to: "volume/secret", mode: 0o600)
            for isMapped in [true, false] {
                let container = isMapped ? try container() : try Container()
                container.config.append(
                    Configuration.mount("/secret", "bind", file, ["bind"]), at: "mounts")
                let verdict = try container.attack("root-file", "/secret", word)
                #expect(verdict.gotThrough == !isMapped, "\(verdict)")
            }
        }

        @Test(
            "A user namespace is joined by its path",
            .except(.runc, because: "it wants the mappings, too"))
        func joins() throws {
            let first = try container()
            try first.running { (process) throws in
                let second = try container()
                second.config[at: "linux/namespaces"] = .array(
                    (second.config[at: "linux/namespaces"]?.elements ?? []).map {
                        $0[at: "type"]?.string != "user"
                            ? $0
                            : Configuration.namespace("user", "/proc/\(process.process)/ns/user")
                    })
                second.config[at: "linux/uidMappings"] = nil
                second.config[at: "linux/gidMappings"] = nil
                try second.running { (other) throws in
                    #expect(try other.namespace("user") == process.namespace("user"))
                    #expect(try other.namespace("mnt") != process.namespace("mnt"))
                }
            }
        }

        @Test(
            "An ordinary user runs a container of its own",
            .except(.crun, because: "it needs to be told that there are no cgroups for it"))
        func isOrdinary() throws {
            let user = try TestUser()
            let container = try Container(shell: "id -u; cat /proc/self/uid_map; exit 9") {
                $0[at: "linux/namespaces"] = .array(
                    ["pid", "ipc", "uts", "mount", "user"].map(Configuration.namespace))
                $0[at: "linux/cgroupsPath"] = nil
                $0[at: "linux/resources"] = nil
                let mappings: JSON = [
                    ["containerID": 0, "hostID": .integer(Int(user.id)), "size": 1]
                ]
                $0[at: "linux/uidMappings"] = mappings
                $0[at: "linux/gidMappings"] = mappings
                // Its host's network is the user's own: there is no sysfs to be had for that.
                $0.remove(from: "mounts") { $0[at: "type"] == "sysfs" }
            }
            try container.save()
            try run(["chown", "-R", "--no-dereference", "\(user.id):\(user.id)", container.bundle])
            let command = Runtime.bare(["--root", user.state, "run", "--bundle", container.bundle])
            let outcome = try user.run(command + [container.id])
            #expect(outcome.ending == .exited(9), "\(outcome)")
            #expect(outcome.lines.first == "0", "\(outcome)")
            #expect(outcome.lines.last?.contains("\(user.id)") == true, "\(outcome)")
            #expect(try place().contents(of: user.state).isEmpty)
        }

        @Test("A user that the mappings don't have is refused")
        func refusesUsers() throws {
            let container = try container(["true"])
            container.config[at: "process/user"] = ["uid": 70000, "gid": 0]
            try expectRefused(container)
        }

        @Test("Mappings without a user namespace are refused")
        func refusesMappings() throws {
            guard Runtime.current == .hull else { return }
            let container = try container(["true"])
            container.config[at: "linux/namespaces"] = .array(
                ["pid", "ipc", "uts", "mount", "network"].map(Configuration.namespace))
            try expectRefused(container)
        }
    }
}
