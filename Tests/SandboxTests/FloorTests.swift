import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// labs/floor.c says what the kernel has to do for a sandbox, and its tables are kept by hand.
    @Suite("The floor of the bench") struct FloorTests {
        private static let limits = ["--memory", "256m", "--cpus", "1", "--pids-limit", "64"]

        @Test("The floor asks the kernel for what the stage asks it for, no more and no less")
        func isLevel() throws {
            let floor = try Floor.build()
            let rootfs = try place().rootfs()
            let filter = try filter(rootfs)
            let none = ["--network", "none"]
            for (mode, stage, options) in [
                ("overlay", "stage03-overlay", []),
                ("identity", "stage05-identity", none),
                ("cgroup", "stage06-cgroups", none + Self.limits),
                ("privileges", "stage07-privileges", none + Self.limits),
            ] {
                let wanted = try KernelWork(
                    of: [Products.directory + "/" + stage] + options + [rootfs, "/bin/true"])
                let done = try KernelWork(
                    of: [floor, mode, rootfs, "/bin/true"], environment: ["FLOOR_SECCOMP": filter])
                expectEqual(done, wanted, mode)
            }
        }

        @Test("The floor's network is that of one more sandbox on a bridge")
        func hasTheSameNetwork() throws {
            let floor = try Floor.build()
            let rootfs = try place().rootfs()
            let stage = Products.directory + "/stage04-network"
            let here = try ["of-stage", "of-floor"].map { try place().makeDirectory($0) + "/trace" }
            // In a network of its own, with a sandbox that keeps the bridge.
            let script = """
                ip link set lo up
                \(stage) --init \(rootfs) sleep 1000 & keeper=$!
                until ip -brief link show master hull0 2>/dev/null | grep -q UP; do
                    kill -0 $keeper || exit 3
                    sleep 0.01
                done
                \(quoted(KernelWork.tracing(to: here[0]) + [stage, rootfs, "/bin/true"])) || exit 4
                \(quoted(KernelWork.tracing(to: here[1]) + [floor, "network", rootfs, "/bin/true"])) || exit 5
                kill $keeper
                wait $keeper
                exit 0
                """
            let outcome = try run(["unshare", "--net", "sh", "-c", script], seconds: 60)
            try #require(outcome.code == 0, "\(outcome)")
            expectEqual(try KernelWork(in: here[1]), try KernelWork(in: here[0]), "network")
        }

        private func quoted(_ words: [String]) -> String {
            words.map { "'\($0)'" }.joined(separator: " ")
        }

        private func expectEqual(_ floor: KernelWork, _ stage: KernelWork, _ mode: String) {
            #expect(stage.calls.count > 20, "hardly anything was traced: \(stage.calls)")
            for call in stage.calls.subtracting(floor.calls).sorted() {
                Issue.record("the floor \(mode) does not do what the stage does: \(call)")
            }
            for call in floor.calls.subtracting(stage.calls).sorted() {
                Issue.record("the floor \(mode) does what the stage does not: \(call)")
            }
        }

        /// The filter that the stage has compiled and keeps, as labs/bench takes it.
        private func filter(_ rootfs: String) throws -> String {
            let stage = Products.directory + "/stage07-privileges"
            let told = try run([stage, "--explain", "--network", "none", rootfs, "/bin/true"])
            let length = try #require(told.errors.firstMatch(of: /SET_MODE_FILTER.*len=(\d+)/)?.1)
            let cache = try place().state + "/seccomp"
            let name = try #require(
                try FileManager.default.contentsOfDirectory(atPath: cache).first)
            let kept = try Data(contentsOf: URL(fileURLWithPath: cache + "/" + name))
            let size = 8 * (try #require(Int(length)))
            let path = try place().directory + "/filter"
            try kept.dropLast(8).suffix(size).write(to: URL(fileURLWithPath: path))
            return path
        }
    }
}

/// What a program had the kernel do to make a sandbox, without the names that are its own.
private struct KernelWork {
    var calls: Set<String> = []

    private static let traced = [
        "mount", "umount2", "pivot_root", "mknod", "mknodat", "symlink", "symlinkat",
        "sethostname", "unshare", "clone3", "seccomp", "capset", "keyctl", "setgroups", "prctl",
        "open_tree", "move_mount", "bpf", "sendto", "write", "mkdir", "rmdir",
    ]

    /// The command that traces another, each of its processes into a file of its own.
    static func tracing(to prefix: String) -> [String] {
        [
            "strace", "-ff", "-y", "-s", "200", "-o", prefix, "-e",
            "trace=" + traced.joined(separator: ","),
        ]
    }

    /// Runs a command to its end and looks at it meanwhile.
    init(of command: [String], environment: [String: String] = [:]) throws {
        let prefix = try place().makeDirectory("trace-" + Place.randomWord()) + "/trace"
        let outcome = try run(
            Self.tracing(to: prefix) + command, environment: environment, seconds: 60)
        try #require(outcome.code == 0, "\(outcome)")
        try self.init(in: prefix)
    }

    init(in prefix: String) throws {
        let directory = (prefix as NSString).deletingLastPathComponent
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
            let lines = try Observed.read(directory + "/" + name).split(separator: "\n")
            calls.formUnion(lines.compactMap { Self.essence(of: String($0)) })
        }
    }

    /// A call without what differs from run to run. nil for one that failed or does not matter.
    private static func essence(of line: String) -> String? {
        if line.contains(") = -1 ") || line.contains("= ?") { return nil }
        guard let name = line.split(separator: "(").first else { return nil }
        switch name {
        case "mount":
            return line.contains("\"overlay\"") ? "mount overlay" : mount(line)
        case "umount2", "unshare", "capset", "symlink", "symlinkat", "mknod", "mknodat":
            return String(line.prefix { $0 != "=" || line.hasPrefix("capset") })
        case "pivot_root", "sethostname", "keyctl", "setgroups", "open_tree": return String(name)
        case "clone3":
            return line.firstMatch(of: /flags=([A-Z_|]+)/).map { "clone3 \($0.1)" }
        case "seccomp": return line.firstMatch(of: /len=(\d+)/).map { "seccomp \($0.1)" }
        case "prctl":
            return line.firstMatch(of: /PR_CAP(BSET_DROP, \w+|_AMBIENT)/).map { "prctl \($0.0)" }
        case "move_mount":
            return line.firstMatch(of: /"(\/[^"]+)"/).map { "move_mount \($0.1)" }
        case "bpf": return line.firstMatch(of: /BPF_PROG_\w+/).map { "bpf \($0.0)" }
        case "sendto": return messages(line)
        case "write": return setting(line)
        case "mkdir", "rmdir": return directory(line)
        default: return nil
        }
    }

    /// Where a bind mount comes from is of no matter when it is only given other flags.
    private static func mount(_ line: String) -> String? {
        line.firstMatch(of: /mount\([^,]+, (.*)\) += 0/).map { "mount \($0.1)" }
    }

    /// Which messages go to the kernel in one call. Of those about links (RTM_NEWLINK) also
    /// which flags they set: `ifi_flags` and `ifi_change`. See `rtnetlink(7)`.
    private static func messages(_ line: String) -> String? {
        let kinds = line.matches(of: /nlmsg_type=(\w+)/).map { String($0.1) }
        let flags = line.matches(of: /nlmsg_type=0x10 [^"]*"(?:\\x..){8}((?:\\x..){8})/)
            .map { String($0.1) }
        return kinds.isEmpty ? nil : "netlink \((kinds + flags).joined(separator: " "))"
    }

    /// What is written into a cgroup or a setting of the network.
    private static func setting(_ line: String) -> String? {
        if line.contains("/proc/sys/net/") {
            return line.firstMatch(of: /\/proc\/sys\/net\/[^>]+>, "[^"]*"/).map { String($0.0) }
        }
        guard let match = line.firstMatch(of: /<(\/sys\/fs\/cgroup[^>]*)\/([^\/>]+)>, "([^"]*)"/)
        else { return nil }
        // What is handed down to all sandboxes is handed down by the first.
        if match.2 == "cgroup.subtree_control" { return nil }
        return "\(own(match.1))/\(match.2) = \(match.3)"
    }

    /// What all sandboxes share is made by the first and removed by the last.
    private static func directory(_ line: String) -> String? {
        guard let match = line.firstMatch(of: /^(\w+)\("(\/(?:dev|sys)\/[^"]+)"/),
            !match.2.hasSuffix("/hull")
        else { return nil }
        return "\(match.1) \(own(match.2))"
    }

    private static func own(_ path: Substring) -> String {
        String(path).replacing(/\/hull-(floor-)?[^\/]+/, with: "/OURS")
    }
}
