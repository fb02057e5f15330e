import CLinux
import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// `linux.resources` and `linux.cgroupsPath`, as the cgroup's files show them.
    @Suite("Resources") struct ResourceTests {
        @Test("A container is in a cgroup of its own in every hierarchy, which goes with it")
        func hasGroup() throws {
            let container = try Container()
            var directories: [String] = []
            try container.running { (process) throws in
                let lines = try Observed.read("/proc/\(process.process)/cgroup").split(
                    separator: "\n")
                for controller in ["memory", "pids", "devices", "freezer", "cpu"] {
                    guard
                        HostControlGroups.v1.contains(where: {
                            $0.superOptions.contains(controller)
                        })
                    else { continue }
                    let line = lines.first { $0.contains(":\(controller):") }
                    #expect(line?.hasSuffix(container.cgroup) == true, "\(lines)")
                    directories.append(try #require(container.cgroupDirectory(controller)))
                }
            }
            for directory in directories { #expect(access(directory, F_OK) != 0) }
        }

        @Test(
            "Without a path, the cgroup is called after the container", arguments: ["", "relative"])
        func hasDefaultGroup(path: String) throws {
            let container = try Container {
                $0[at: "linux/cgroupsPath"] = path.isEmpty ? nil : .string(Place.randomWord())
            }
            let word = container.config[at: "linux/cgroupsPath"]?.string ?? container.id
            try container.running { (process) throws in
                let text = try Observed.read("/proc/\(process.process)/cgroup")
                let line = text.split(separator: "\n").first { $0.contains(":pids:") }
                #expect(line?.contains(word) == true, "\(text)")
            }
        }

        @Test("Memory, processes and processors are limited as the configuration says")
        func limits() throws {
            let (mebibytes, processes) = (Int.random(in: 20...90), Int.random(in: 20...90))
            let (shares, quota) = (Int.random(in: 100...900), Int.random(in: 20...90) * 1000)
            let container = try Container {
                $0[at: "linux/resources/memory"] = [
                    "limit": .integer(mebibytes << 20), "reservation": .integer(mebibytes << 19),
                ]
                $0[at: "linux/resources/pids"] = ["limit": .integer(processes)]
                $0[at: "linux/resources/cpu"] = [
                    "shares": .integer(shares), "quota": .integer(quota), "period": 100_000,
                    "cpus": "0", "mems": "0",
                ]
            }
            try container.running { (process) throws in
                #expect(
                    try container.limit("memory", "memory.limit_in_bytes", "memory.max")
                        == "\(mebibytes << 20)")
                #expect(
                    try container.limit("memory", "memory.soft_limit_in_bytes", "memory.low")
                        == "\(mebibytes << 19)")
                #expect(try container.limit("pids", "pids.max", "pids.max") == "\(processes)")
                #expect(
                    try container.limit("cpu", "cpu.cfs_quota_us", "cpu.max").hasPrefix("\(quota)"))
                if HostControlGroups.v1.contains(where: { $0.superOptions.contains("cpu") }) {
                    #expect(try container.limit("cpu", "cpu.shares", "cpu.weight") == "\(shares)")
                }
                #expect(try process.status("Cpus_allowed_list") == ["0"])
            }
        }

        @Test("Memory beyond the limit ends the program; without a limit it doesn't")
        func stopsMemoryHog() throws {
            for isLimited in [true, false] {
                let container = try Container {
                    guard isLimited else { return }
                    $0[at: "linux/resources/memory"] = ["limit": .integer(16 << 20)]
                }
                try place().addProbe(to: container.rootfs)
                container.config[at: "process/args"] = ["/bin/hull-probe", "memory-hog", "48"]
                let outcome = try container.run()
                #expect((outcome.code == 0) == !isLimited, "\(outcome)")
            }
        }

        @Test(
            "A container starts with very little memory",
            .except(.runc, because: "it wants six mebibytes"))
        func startsSmall() throws {
            let container = try Container(shell: "echo x") {
                $0[at: "linux/resources/memory"] = ["limit": .integer(768 << 10)]
            }
            #expect(try container.output() == "x")
        }

        @Test("Processes beyond the limit aren't made; without a limit they are")
        func stopsForkBomb() throws {
            for isLimited in [true, false] {
                let container = try Container {
                    guard isLimited else { return }
                    $0[at: "linux/resources/pids"] = ["limit": 10]
                }
                let verdict = try container.attack("fork-bomb", "40")
                #expect(verdict.gotThrough == !isLimited, "\(verdict)")
            }
        }

        @Test(
            "A limit of 0 processes is one: the container's own",
            .except(.runc, .crun, because: "the specification has said so since 1.3"))
        func limitsToOneProcess() throws {
            let container = try Container {
                $0[at: "linux/resources/pids"] = ["limit": 0]
            }
            try container.running { (_) throws in
                #expect(try container.limit("pids", "pids.max", "pids.max") == "1")
            }
        }

        @Test(
            "exec --cgroup doesn't lead out of the container's cgroup",
            arguments: ["..", "a/../.."])
        func keepsItsCgroup(path: String) throws {
            let container = try Container()
            try container.running { (_) throws in
                let outcome = try container.exec(["--cgroup", path], "true")
                #expect(outcome.code != 0, "\(outcome)")
                #expect(outcome.errors.contains("bad sub cgroup path"), "\(outcome)")
            }
        }

        @Test("A device that isn't allowed can't be opened; one that is can")
        func limitsDevices() throws {
            // A loop device's control file: major 10, minor 237 on every Linux.
            for isAllowed in [true, false] {
                let container = try Container(
                    shell: "exec 3<>/dev/own || exit 7; exit 0"
                ) {
                    $0[at: "linux/devices"] = [
                        ["path": "/dev/own", "type": "c", "major": 10, "minor": 229]
                    ]
                    if isAllowed {
                        $0.append(
                            [
                                "allow": true, "type": "c", "major": 10, "minor": 229,
                                "access": "rw",
                            ], at: "linux/resources/devices")
                    }
                }
                let outcome = try container.run()
                if isAllowed {
                    #expect(!outcome.errors.contains("not permitted"), "\(outcome)")
                } else {
                    #expect(outcome.errors.contains("not permitted"), "\(outcome)")
                }
            }
        }

        @Test("The default devices work although all others are denied")
        func allowsDefaultDevices() throws {
            let script = """
                for d in null zero full random urandom; do
                    exec 3</dev/$d && echo $d
                done
                echo x > /dev/null && echo written
                """
            let output = try Container(shell: script).output()
            #expect(output == "null\nzero\nfull\nrandom\nurandom\nwritten")
        }

        @Test("update changes the limits of a running container, by options and by a file")
        func updates() throws {
            let (mebibytes, processes) = (Int.random(in: 20...90), Int.random(in: 20...90))
            let container = try Container {
                $0[at: "linux/resources/memory"] = ["limit": .integer(128 << 20)]
            }
            try container.running { (_) throws in
                let outcome = try container.call(
                    "update", "--memory", "\(mebibytes << 20)", "--pids-limit", "\(processes)")
                #expect(outcome.code == 0, "\(outcome)")
                func memory() throws -> String {
                    try container.limit("memory", "memory.limit_in_bytes", "memory.max")
                }
                #expect(try memory() == "\(mebibytes << 20)")
                #expect(try container.limit("pids", "pids.max", "pids.max") == "\(processes)")
                let file = try place().write(
                    "{\"memory\": {\"limit\": \(mebibytes << 21)}, \"cpu\": {\"quota\": 12000, \"period\": 50000}}",
                    to: "resources.json")
                let second = try container.call("update", "--resources", file)
                #expect(second.code == 0, "\(second)")
                #expect(try memory() == "\(mebibytes << 21)")
                #expect(
                    try container.limit("cpu", "cpu.cfs_quota_us", "cpu.max").hasPrefix("12000"))
                #expect(try container.limit("pids", "pids.max", "pids.max") == "\(processes)")
            }
        }

        @Test("update changes the limit of memory and swap alone")
        func updatesSwap() throws {
            let container = try Container {
                $0[at: "linux/resources/memory"] = ["limit": 33_554_432, "swap": 50_331_648]
            }
            guard let directory = container.cgroupDirectory("memory"),
                HostControlGroups.v1.contains(where: { $0.superOptions.contains("memory") })
            else { return }
            try container.running { (_) throws in
                let file = directory + "/memory.memsw.limit_in_bytes"
                guard access(file, F_OK) == 0 else { return }
                let outcome = try run(
                    Runtime.command(["update", "--memory-swap", "67108864", container.id]))
                #expect(outcome.code == 0, "\(outcome)")
                #expect(try Observed.read(file) == "67108864\n")
            }
        }

        @Test("events takes an interval in less than seconds", .needs(.events))
        func tellsOften() throws {
            let container = try Container()
            try container.running { (_) throws in
                let command = try Runtime.command(["events", "--interval", "100ms", container.id])
                let outcome = try run(["timeout", "1"] + command)
                #expect(outcome.output.lines > 3, "\(outcome)")
            }
        }

        @Test("events --stats tells what the container uses", .needs(.events))
        func tellsStatistics() throws {
            let container = try Container(shell: "sleep 1000 & exec sleep 1000")
            try container.running { (process) throws in
                try waitUntil("both processes") { process.children.count == 1 }
                let outcome = try container.call("events", "--stats")
                #expect(outcome.code == 0, "\(outcome)")
                let event = try JSON(output: outcome.output)
                #expect(event[at: "type"]?.string == "stats")
                #expect(event[at: "id"]?.string == container.id)
                #expect(event[at: "data/pids/current"]?.number == 2, "\(outcome)")
                #expect((event[at: "data/memory/usage/usage"]?.number ?? 0) > 0, "\(outcome)")
                #expect((event[at: "data/cpu/usage/total"]?.number ?? 0) > 0, "\(outcome)")
            }
        }

        @Test("Keys of cgroup version 2 are refused where there is no version 2 for them")
        func refusesUnified() throws {
            guard !HostControlGroups.v1.isEmpty, Runtime.current == .hull else { return }
            try expectRefused(
                Container { $0[at: "linux/resources/unified"] = ["memory.high": "1000000"] },
                naming: "unified")
        }

        @Test("A limit that the kernel doesn't take is a failure, and nothing is left")
        func refusesLimits() throws {
            try expectRefused(
                Container { $0[at: "linux/resources/cpu"] = ["cpus": "4000-5000"] })
            try expectRefused(
                Container { $0[at: "linux/resources/cpu"] = ["quota": 5, "period": 100_000] })
        }
    }
}
