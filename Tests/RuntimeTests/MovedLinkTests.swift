import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// `linux.netDevices` and `linux.memoryPolicy`, which runtime-spec 1.3 has added.
    @Suite(
        "Specification 1.3", .except(.runc, .crun, because: "Debian's know no more than 1.0")
    )
    struct NewestSpecificationTests {
        @Test("A link moves into the container with its addresses of global scope, and is up")
        func movesLink() throws {
            let address = "10.\(Int.random(in: 0...255)).\(Int.random(in: 0...255)).7"
            let container = try Container(shell: "ip address show; cat /sys/class/net/*/flags") {
                $0[at: "linux/netDevices"] = ["test0": [:]]
            }
            let outcome = try run(
                container,
                before: "ip address add \(address)/24 dev test0\n"
                    + "ip address add fd00:\(address.split(separator: ".")[2])::5/64 dev test0\n"
                    + "ip address add 169.254.3.4/16 scope link dev test0")
            #expect(outcome.ending == .exited(0), "\(outcome)")
            #expect(outcome.output.contains("inet \(address)/24"), "\(outcome)")
            #expect(
                outcome.output.contains("inet6 fd00:\(address.split(separator: ".")[2])::5/64"),
                "\(outcome)")
            // What means nothing beyond the link does not go with it.
            #expect(!outcome.output.contains("169.254.3.4"), "\(outcome)")
            #expect(
                outcome.lines.contains { $0.contains("test0") && $0.contains("UP") }, "\(outcome)")
            // A link without a machine behind it goes with the container's network.
            #expect(outcome.errors.contains("after: lo"), "\(outcome)")
            #expect(!outcome.errors.contains("after: test0"), "\(outcome)")
        }

        @Test(
            "It may get another name, or one that the kernel completes",
            arguments: ["inside", "lan%d", "lo%d"])
        func renamesLink(name: String) throws {
            let container = try Container(shell: "ls /sys/class/net") {
                $0[at: "linux/netDevices"] = ["test0": ["name": .string(name)]]
            }
            let outcome = try run(container)
            #expect(outcome.ending == .exited(0), "\(outcome)")
            let expected = name.replacingOccurrences(of: "%d", with: "0")
            #expect(Set(outcome.lines) == [expected, "lo"], "\(outcome)")
        }

        @Test("A network namespace that is joined gets the link")
        func movesIntoJoined() throws {
            let other = try LabHost()
            defer { other.end() }
            let container = try Container(shell: "ls /sys/class/net") {
                $0[at: "linux/netDevices"] = ["test0": ["name": "joined"]]
                let others = ["pid", "ipc", "uts", "mount"].map(Configuration.namespace)
                $0[at: "linux/namespaces"] = .array(
                    others + [
                        Configuration.namespace("network", "/proc/\(other.process)/ns/net")
                    ])
            }
            let outcome = try run(container)
            #expect(outcome.ending == .exited(0), "\(outcome)")
            #expect(outcome.lines.contains("joined"), "\(outcome)")
        }

        @Test("What goes wrong leaves the link where it was, as it was")
        func leavesLink() throws {
            let changes: [(inout JSON) -> Void] = [
                // The name is taken there.
                { $0[at: "linux/netDevices"] = ["test0": ["name": "lo"]] },
                // The second of them is not there.
                { $0[at: "linux/netDevices"] = ["test0": [:], "zz-nosuch": [:]] },
                // All went well with the link, and then there is no such program.
                {
                    $0[at: "linux/netDevices"] = ["test0": ["name": "other"]]
                    $0[at: "process/args"] = ["/nosuch"]
                },
            ]
            for change in changes {
                let container = try Container(shell: "true", change)
                let outcome = try run(
                    container, before: "ip address add 10.1.2.3/24 dev test0; ip link set test0 up")
                #expect(outcome.code != 0 && outcome.output.isEmpty, "\(outcome)")
                #expect(outcome.errors.contains("after: test0"), "\(outcome)")
                #expect(outcome.errors.contains("inet 10.1.2.3/24"), "\(outcome)")
                #expect(
                    outcome.errors.split(separator: "\n").contains {
                        $0.contains(" test0@") && $0.contains(",UP")
                    }, "\(outcome)")
            }
        }

        @Test("Names that are no link's, and a container in the host's network, are refused")
        func refusesLinks() throws {
            for name in ["", "a/b", "..", "sixteen-letters-x", "a:b"] {
                try expectRefused(
                    try Container(shell: "true") {
                        $0[at: "linux/netDevices"] = ["lo": ["name": .string(name)]]
                        if name.isEmpty { $0[at: "linux/netDevices"] = ["": [:]] }
                    }, naming: "netDevices")
            }
            try expectRefused(
                try Container(shell: "true") {
                    $0[at: "linux/netDevices"] = ["lo": [:]]
                    $0[at: "linux/namespaces"] = .array(
                        ["pid", "ipc", "uts", "mount"].map(Configuration.namespace))
                    $0[at: "mounts"] = []
                }, naming: "netDevices")
        }

        @Test(
            "The memory policy is the process's, and an added one's",
            .enabled(
                if: access("/proc/self/numa_maps", R_OK) == 0, "this kernel has no memory nodes"))
        func hasMemoryPolicy() throws {
            for (policy, shown): (JSON, String) in [
                (["mode": "MPOL_BIND", "nodes": "0"], "bind:0"),
                (
                    [
                        "mode": "MPOL_INTERLEAVE", "nodes": "0",
                        "flags": ["MPOL_F_STATIC_NODES"],
                    ], "interleave=static:0"
                ),
                (["mode": "MPOL_LOCAL"], "local"), (["mode": "MPOL_DEFAULT"], "default"),
            ] {
                let container = try Container { $0[at: "linux/memoryPolicy"] = policy }
                try container.running { (process) throws in
                    let maps = try Observed.read("/proc/\(process.process)/numa_maps")
                    #expect(maps.contains(" \(shown) "), "\(policy.text()): \(maps)")
                    let added = try container.exec([], "head", "-n", "1", "/proc/self/numa_maps")
                    #expect(added.output.contains(" \(shown) "), "\(added)")
                }
            }
        }

        @Test("A memory policy that there is not is refused")
        func refusesMemoryPolicy() throws {
            let wrong: [JSON] = [
                ["mode": "MPOL_NOSUCH"], ["mode": "MPOL_BIND", "nodes": "x"],
                ["mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NOSUCH"]],
                ["mode": "MPOL_BIND"],
            ]
            for policy in wrong {
                try expectRefused(
                    try Container { $0[at: "linux/memoryPolicy"] = policy },
                    naming: "memory")
            }
        }

        @Test("`features` tells of both")
        func tells() throws {
            let outcome = try TestSupport.run(Runtime.bare(["features"]))
            let features = try JSON(output: outcome.output)
            #expect(features[at: "linux/netDevices/enabled"] == true)
            #expect(
                features[at: "linux/memoryPolicy/modes"]?.elements.contains("MPOL_BIND") == true)
            #expect(features[at: "ociVersionMax"]?.string?.hasPrefix("1.3") == true)
        }

        /// Runs the container to its end on a machine of its own with a link `test0`, and says on
        /// standard error what links that machine has then.
        private func run(_ container: Container, before: String = "") throws -> Outcome {
            try container.save()
            let script = """
                ip link add test0 type veth peer name test1
                ip link set test1 up
                ip link set lo up
                \(before)
                code=0
                "$@" || code=$?
                ip -o link | sed 's/^[0-9]*: /after: /' >&2
                ip address show >&2
                exit $code
                """
            return try TestSupport.run(
                [
                    "unshare", "--net", "sh", "-ec",
                    script, "sh",
                ]
                    + Runtime.command(["run", "--bundle", container.bundle, container.id]))
        }
    }
}
