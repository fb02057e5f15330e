import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// A kernel with version 2 of cgroups alone, and with AppArmor: `labs/vm test` runs these.
    @Suite(
        "In the virtual machine", .enabled(if: VirtualMachine.isHere, "runs in labs/vm"))
    struct VirtualMachineRuntimeTests {
        @Test("Limits are files of the container's cgroup, which it cannot see above")
        func limits() throws {
            let container = try Container {
                $0[at: "linux/resources/memory"] = ["limit": 67_108_864, "swap": 67_108_864]
                $0[at: "linux/resources/pids"] = ["limit": 33]
                $0[at: "linux/resources/cpu"] = [
                    "quota": 20000, "period": 100_000, "shares": 2048, "cpus": "0",
                ]
                $0.append(
                    Configuration.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["ro"]), at: "mounts")
            }
            let directory = "/sys/fs/cgroup" + container.cgroup
            func file(_ name: String) throws -> String {
                try Observed.read("\(directory)/\(name)").trimmingCharacters(in: .newlines)
            }
            try container.running { (process) throws in
                #expect(
                    try Observed.read("/proc/\(process.process)/cgroup").hasSuffix(
                        ":\(container.cgroup)\n"))
                #expect(try file("memory.max") == "67108864")
                #expect(try file("memory.swap.max") == "0")
                #expect(try file("pids.max") == "33")
                #expect(try file("cpu.max") == "20000 100000")
                #expect(try file("cpuset.cpus") == "0")
                let inside = try container.exec(
                    [], "sh", "-c", "cat /proc/self/cgroup /sys/fs/cgroup/pids.max")
                #expect(inside.lines == ["0::/", "33"], "\(inside)")

                let updated = try container.call("update", "--pids-limit", "44", "--memory", "99m")
                #expect(updated.code == 0, "\(updated)")
                #expect(try file("pids.max") == "44")
                #expect(try file("memory.max") == "\(99 << 20)")

                #expect(try container.call("pause").code == 0)
                #expect(try file("cgroup.freeze") == "1")
                #expect(try container.status() == "paused")
                #expect(try container.call("resume").code == 0)
                #expect(try container.status() == "running")

                let events = try container.call("events", "--stats")
                let data = try JSON(output: events.output)
                #expect(data[at: "data/pids/limit"] == 44, "\(events)")
            }
            #expect(access(directory, F_OK) != 0)
        }

        @Test("Without a cgroup namespace, a user namespace is shown the machine's cgroups")
        func showsMachines() throws {
            let container = try Container.mapped(
                at: 100_000, ["grep", "cgroup2", "/proc/self/mounts"])
            container.config.remove(from: "linux/namespaces") { $0[at: "type"] == "cgroup" }
            container.config.append(
                Configuration.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["ro"]), at: "mounts")
            #expect(try container.output().contains(" /sys/fs/cgroup cgroup2 ro,"))
        }

        @Test("A container that exceeds its memory is killed, and nobody else")
        func killsWhoExceeds() throws {
            let container = try Container(shell: "dd if=/dev/zero of=/dev/null bs=64M count=1") {
                $0[at: "linux/resources/memory"] = ["limit": 33_554_432, "swap": 33_554_432]
            }
            let outcome = try container.run()
            #expect(outcome.code != 0, "\(outcome)")
        }

        @Test("Files of version 2 are set as `unified` names them, and no others")
        func unified() throws {
            let container = try Container {
                $0[at: "linux/resources/unified"] = [
                    "memory.high": "33554432", "pids.max": "77", "cpu.weight": "321",
                ]
            }
            try container.running { (_) throws in
                let directory = "/sys/fs/cgroup" + container.cgroup
                #expect(try Observed.read(directory + "/memory.high") == "33554432\n")
                #expect(try Observed.read(directory + "/pids.max") == "77\n")
                #expect(try Observed.read(directory + "/cpu.weight") == "321\n")
            }
            for name in ["nosuch.file", "../cgroup.procs", "cgroup.procs/x"] {
                try expectRefused(
                    try Container(shell: "true") {
                        $0[at: "linux/resources/unified"] = .object([JSON.Member(name, "1")])
                    })
            }
        }

        @Test("Devices are kept by a program of the cgroup's, which `linux.resources` writes")
        func keepsDevices() throws {
            // 1:11 is the kernel's log.
            let script = """
                mknod /log c 1 11 && head -c 1 </log >/dev/null && echo read
                { echo x >/log; } 2>/dev/null && echo written
                true
                """
            for (access, expected) in [("", []), ("r", ["read"]), ("rw", ["read", "written"])] {
                let container = try Container(shell: script) {
                    // To read it takes that, too.
                    for set in ["bounding", "effective", "permitted"] {
                        $0.append("CAP_SYSLOG", at: "process/capabilities/" + set)
                    }
                    if access.isEmpty { return }
                    $0.append(
                        [
                            "allow": true, "type": "c", "major": 1, "minor": 11,
                            "access": .string(access),
                        ], at: "linux/resources/devices")
                }
                let outcome = try container.run()
                #expect(outcome.lines == expected, "\(access): \(outcome)")
            }
        }

        @Test("A process of the container's runs behind the AppArmor profile that is named")
        func hasAppArmor() throws {
            try #require(VirtualMachine.has("apparmor"))
            let profile = "hull-tests-" + Place.randomWord()
            let script = "cat /proc/self/attr/current; cat /secret"
            try AppArmor.with(
                """
                profile \(profile) flags=(attach_disconnected,mediate_deleted) {
                  file,
                  capability,
                  deny /secret r,
                }
                """
            ) {
                let container = try Container(shell: script) {
                    $0[at: "process/apparmorProfile"] = .string(profile)
                }
                try place().write("told", to: container.rootfs + "/secret")
                let outcome = try container.run()
                #expect(outcome.lines == ["\(profile) (enforce)"], "\(outcome)")
                #expect(outcome.code == 1, "\(outcome)")
            }
            try expectRefused(
                try Container(shell: script) {
                    $0[at: "process/apparmorProfile"] = .string(profile)
                }, naming: profile)
        }

        @Test("An added process, too, and one that may have another profile")
        func addsBehindAppArmor() throws {
            try #require(VirtualMachine.has("apparmor"))
            let profile = "hull-tests-" + Place.randomWord()
            try AppArmor.with("profile \(profile) {\n  file,\n  capability,\n  signal,\n}\n") {
                let container = try Container {
                    $0[at: "process/apparmorProfile"] = .string(profile)
                }
                try container.running { (_) throws in
                    let added = try container.exec([], "cat", "/proc/self/attr/current")
                    #expect(added.line == "\(profile) (enforce)", "\(added)")
                }
            }
        }
    }
}
