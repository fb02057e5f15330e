import Foundation
import Testing

/// containerd on a node of its own, and `ctr` with the runtime under test.
final class ContainerdNode: Client, Sendable {
    static let image = "localhost/box:1"

    let node: Node
    private let place: Place

    init() throws {
        let place = try Place("containerd")
        self.place = place
        let configuration = try place.makeFile(
            "config.toml",
            """
            version = 2
            root = "\(place / "root")"
            state = "/run/containerd"
            disabled_plugins = ["io.containerd.grpc.v1.cri"]
            [plugins."io.containerd.internal.v1.opt"]
              path = "\(place / "opt")"
            """)
        node = try Node(
            "containerd", in: place, running: ["containerd", "--config", configuration])
        try node.wait("containerd") { try outcome(of: "version").code == 0 }
        let archive = try makeImageArchive(in: place, command: ["sh"])
        try self(
            "images", "import", "--snapshotter", "native", "--base-name", "localhost/box", archive)
    }

    var client: [String] { node.entrance + ["ctr"] }

    /// What `ctr run` needs to be told each time.
    private static let choice = [
        "--runtime", "io.containerd.runc.v2", "--runc-binary", runtimeUnderTest,
        "--snapshotter", "native",
    ]

    /// Runs a container to its end.
    func runContainer(_ options: [String] = [], _ command: String...) throws -> Outcome {
        try InteropTests.outcome(
            of: client + ["run", "--rm"] + Self.choice + options
                + [Self.image, randomWord()] + command)
    }

    /// Starts a container in the background and returns its name.
    func start(
        _ options: [String] = [], _ command: [String] = ["sleep", "1000"]
    ) throws -> String {
        let name = randomWord()
        try InteropTests.run(
            client + ["run", "--detach"] + Self.choice + options
                + [Self.image, name] + command)
        return name
    }

    /// Removes a container, if it is there.
    func remove(_ name: String) {
        _ = try? outcome(of: "tasks", "delete", "--force", name)
        _ = try? outcome(of: "containers", "delete", name)
    }

    /// The number of its process 1, on the node.
    func process(of name: String) throws -> String {
        let line = try self("tasks", "list").split(separator: "\n").first { $0.hasPrefix(name) }
        let fields = line?.split(separator: " ") ?? []
        return fields.count > 1 ? String(fields[1]) : "none"
    }

    /// What `ctr tasks list` calls its state.
    func status(of name: String) throws -> String {
        let line = try self("tasks", "list").split(separator: "\n").first { $0.hasPrefix(name) }
        return line?.split(separator: " ").last.map(String.init) ?? "none"
    }
}

extension OrchestrationSuite {
    /// `ctr run --runc-binary`, by containerd's shim for runc.
    @Suite(.serialized) struct ContainerdTests {
        private let containerd: ContainerdNode

        init() throws { containerd = try Workshop.shared { _ in try ContainerdNode() } }

        @Test func `a container runs, and its exit code comes back`() throws {
            let word = randomWord()
            #expect(try containerd.runContainer([], "echo", word).text == word)
            #expect(try containerd.runContainer([], "sh", "-c", "exit 42").code == 42)
            #expect(try containerd.runContainer([], "/nosuch").code != 0)
            let rootfs = try containerd.outcome(
                of: "run", "--rm", "--runc-binary", runtimeUnderTest, "--rootfs",
                containerd.node.place / "rootfs", randomWord(), "/bin/echo",
                word)
            #expect(rootfs.text == word, "\(rootfs)")
        }

        @Test func `exec runs another process in it`() throws {
            let name = try containerd.start()
            defer { containerd.remove(name) }
            let word = randomWord()
            #expect(try containerd("tasks", "exec", "--exec-id", "a", name, "echo", word) == word)
            #expect(
                try containerd.outcome(
                    of: "tasks", "exec", "--exec-id", "b", name, "sh", "-c", "exit 7"
                ).code == 7)
            #expect(
                try containerd.outcome(of: "tasks", "exec", "--exec-id", "c", name, "/nosuch").code
                    != 0)
            #expect(
                try containerd("tasks", "exec", "--exec-id", "d", "--cwd", "/etc", name, "pwd")
                    == "/etc")
        }

        @Test func `a task is paused, resumed, measured, killed and deleted`() throws {
            let name = try containerd.start(
                ["--memory-limit", "67108864"],
                ["sh", "-c", "while :; do echo x >>/count; sleep 0.02; done"])
            defer { containerd.remove(name) }
            let process = try containerd.process(of: name)
            let groups = Groups(containerd.node, of: process)
            #expect(try groups.memoryLimit() == 64 << 20)
            #expect(try containerd("tasks", "ps", name).contains(process))
            let metrics = try containerd("tasks", "metrics", "--format", "json", name)
            #expect(metrics.contains("67108864"), "\(metrics)")

            let file = "/proc/\(process)/root/count"
            func size() throws -> String { try containerd.node("stat", "-c", "%s", file) }
            try waitUntil("counting") { (try? size()) ?? "0" != "0" }
            try containerd("tasks", "pause", name)
            #expect(try containerd.status(of: name) == "PAUSED")
            let stopped = try size()
            usleep(100_000)
            #expect(try size() == stopped)
            try containerd("tasks", "resume", name)
            try waitUntil("counting again") { try size() != stopped }

            try containerd("tasks", "kill", "--signal", "SIGKILL", name)
            try waitUntil("its end") { try containerd.status(of: name) == "STOPPED" }
            #expect(try containerd.outcome(of: "tasks", "delete", name).errors.contains("137"))
            #expect(try containerd.status(of: name) == "none")
        }

        @Test func `options reach the runtime`() throws {
            let word = randomWord()
            let directory = try containerd.node.place.makeDirectory(word)
            let outcome = try containerd.runContainer(
                [
                    "--read-only", "--cwd", "/etc", "--env", "A=\(word)",
                    "--mount", "type=bind,src=\(directory),dst=/mnt,options=rbind:ro",
                    "--pid-file", directory + "/pid", "--cgroup", "/" + word, "--seccomp",
                    "--cpus", "0.5", "--cap-drop", "CAP_CHOWN",
                ], "sh", "-c",
                """
                pwd; echo $A; touch /x /mnt/x 2>&1 | wc -l; id -u
                grep Seccomp: /proc/self/status; grep pids: /proc/self/cgroup | cut -d : -f 3
                """)
            let lines = outcome.text.split(separator: "\n")
            #expect(
                lines.prefix(5) == [
                    "/etc", "\(word)", "2", "0", "Seccomp:\t2",
                ], "\(outcome)")
        }

        @Test func `nothing stays of a container`() throws {
            // The group of all its containers stays.
            func leftovers() throws -> String {
                try containerd.node.leftovers("shim", groupsFrom: 3)
            }
            let before = try leftovers()
            _ = try containerd.runContainer([], "true")
            _ = try containerd.runContainer([], "/nosuch")
            try waitUntil("the shims' end") { try leftovers() == before }
        }
    }
}
