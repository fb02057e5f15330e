import Foundation
import Testing

/// podman on a node of its own, with the runtime under test and one image.
final class PodmanNode: Sendable {
    let node: Node
    let podman: Podman

    init() throws {
        node = try Node("podman", in: try Place("podman-node"))
        podman = try Podman(on: node, runtime: runtimeUnderTest)
        try podman("import", try makeRootArchive(in: node.place), "localhost/box:1")
    }
}

extension OrchestrationSuite {
    /// `podman --runtime`.
    @Suite(.serialized) struct PodmanTests {
        private let node: Node
        private let podman: Podman

        init() throws {
            let shared = try Workshop.shared { _ in try PodmanNode() }
            (node, podman) = (shared.node, shared.podman)
        }

        /// Starts a container in the background and returns its name.
        private func start(
            _ options: [String] = [], _ command: [String] = ["sleep", "1000"]
        ) throws -> String {
            let name = randomWord()
            try podman.run(["run", "--detach", "--name", name] + options + ["box:1"] + command)
            return name
        }

        private func remove(_ name: String) {
            _ = try? podman.outcome(of: "rm", "--force", "--time", "0", "--volumes", name)
        }

        private func inspect(_ name: String, _ template: String) throws -> String {
            try podman("inspect", "--format", template, name)
        }

        @Test func `a container runs, and its exit code comes back`() throws {
            let word = randomWord()
            #expect(try podman("run", "--rm", "box:1", "echo", word) == word)
            #expect(try podman("run", "--rm", "--network", "none", "box:1", "echo", word) == word)
            #expect(try podman("run", "--rm", "--network", "host", "box:1", "hostname") == "podman")
            #expect(
                try podman.outcome(of: "run", "--rm", "box:1", "sh", "-c", "exit 42").code == 42)
            #expect(try podman.outcome(of: "run", "--rm", "box:1", "/nosuch").code == 127)
            #expect(try podman.outcome(of: "run", "--rm", "box:1", "/etc/passwd").code == 126)
            let file = try node.place.makeFile("input", word)
            #expect(try podman("run", "--rm", "-i", "box:1", "cat", input: file) == word)
            let name = try start()
            defer { remove(name) }
            #expect(try inspect(name, "{{.OCIRuntime}}") == runtimeUnderTest)
            #expect(try podman("ps", "--format", "{{.Names}} {{.Status}}").contains(name + " Up"))
        }

        @Test func `a terminal is the container's own`() throws {
            #expect(try podman("run", "--rm", "-t", "box:1", "tty").contains("/dev/pts/0"))
            let name = try start(["-t"], ["sh"])
            defer { remove(name) }
            #expect(try podman("exec", "-t", name, "tty").contains("/dev/pts/"))
        }

        @Test func `exec has its own user, directory, environment and exit code`() throws {
            let name = try start(["--env", "A=1"])
            defer { remove(name) }
            let word = randomWord()
            let said = try podman(
                "exec", "--user", "12:34", "--workdir", "/etc", "--env", "B=\(word)", name,
                "sh", "-c", "id -u; id -g; pwd; echo $A $B")
            #expect(said == "12\n34\n/etc\n1 \(word)")
            #expect(try podman.outcome(of: "exec", name, "sh", "-c", "exit 7").code == 7)
            #expect(try podman.outcome(of: "exec", name, "/nosuch").code == 127)
            #expect(try podman.outcome(of: "exec", name, "nosuch").code == 127)
            #expect(try podman.outcome(of: "exec", name, "/etc/passwd").code == 126)
            #expect(try podman.outcome(of: "exec", "--workdir", "/nosuch", name, "true").code != 0)
        }

        @Test func `what a container says is in its log`() throws {
            let (out, err) = (randomWord(), randomWord())
            let name = try start([], ["sh", "-c", "echo \(out); echo \(err) >&2"])
            defer { remove(name) }
            try podman("wait", name)
            let logs = try podman.outcome(of: "logs", name)
            #expect(logs.text == out)
            #expect(logs.errors == err + "\n")
        }

        @Test func `stop asks, kill does not, and start and restart begin anew`() throws {
            let polite = "trap 'exit 3' TERM; touch /ready; while :; do sleep 0.05; done"
            let name = try start([], ["sh", "-c", polite])
            defer { remove(name) }
            try waitUntil("a trap") {
                try podman.outcome(of: "exec", name, "test", "-e", "/ready").code == 0
            }
            try podman("stop", name)
            #expect(try inspect(name, "{{.State.ExitCode}} {{.State.Status}}") == "3 exited")
            try podman("start", name)
            let first = try inspect(name, "{{.State.Pid}}")
            try podman("restart", "--time", "1", name)
            #expect(try inspect(name, "{{.State.Status}}") == "running")
            #expect(try inspect(name, "{{.State.Pid}}") != first)
            try podman("kill", name)
            #expect(try podman("wait", name) == "137")
            let failing = try start(["--restart", "on-failure:2"], ["sh", "-c", "exit 3"])
            defer { remove(failing) }
            try waitUntil("two restarts") {
                try inspect(failing, "{{.RestartCount}} {{.State.Status}}") == "2 exited"
            }
        }

        @Test func `limits hold, and are what stats tells`() throws {
            let name = try start(["--memory", "64m", "--pids-limit", "50", "--cpus", "0.5"])
            defer { remove(name) }
            let groups = Groups(node, of: try inspect(name, "{{.State.Pid}}"))
            #expect(try groups.memoryLimit() == 64 << 20)
            #expect(try groups.processLimit() == 50)
            #expect(try groups.processorShare() == 0.5)
            let stats = try podman(
                "stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", name)
            #expect(stats.contains("/ 67.11MB") && stats.hasSuffix(" 1"), "\(stats)")
            // podman 4.3 has it, but sets what it does not know of to what it was at the start.
            let update = try podman.outcome(of: "update", "--cpus", "0.25", name)
            #expect(update.code == 0, "\(update)")
            #expect(try groups.processorShare() == 0.25)
        }

        @Test func `a health check runs inside and sees the container fall ill`() throws {
            let name = try start([
                "--health-cmd", "test ! -e /ill", "--health-interval", "disable",
                "--health-retries", "1",
            ])
            defer { remove(name) }
            try podman("healthcheck", "run", name)
            #expect(try inspect(name, "{{.State.Health.Status}}") == "healthy")
            try podman("exec", name, "touch", "/ill")
            #expect(try podman.outcome(of: "healthcheck", "run", name).code == 1)
            #expect(try inspect(name, "{{.State.Health.Status}}") == "unhealthy")
        }

        @Test func `a paused container stands still`() throws {
            let name = try start([], Node.counting)
            defer { remove(name) }
            try node.expectStandstill(of: try inspect(name, "{{.State.Pid}}")) {
                try podman("pause", name)
                #expect(try inspect(name, "{{.State.Status}}") == "paused")
            } resume: {
                try podman("unpause", name)
            }
        }

        @Test func `the containers of a pod share namespaces`() throws {
            let pod = randomWord()
            // What holds the namespaces open; podman's own image for it is out of reach.
            try podman(
                "pod", "create", "--name", pod, "--share", "net,ipc,uts", "--infra-image", "box:1",
                "--infra-command", "sleep 1000")
            defer { _ = try? podman.outcome(of: "pod", "rm", "--force", "--time", "0", pod) }
            let word = randomWord()
            let serve = "mkdir /www; echo \(word) >/www/index.html; exec httpd -f -h /www -p 80"
            let links = "for n in net ipc uts pid; do readlink /proc/self/ns/$n; done"
            let one = try start(["--pod", pod], ["sh", "-c", serve])
            let two = try start(["--pod", pod])
            let first = try podman("exec", one, "sh", "-c", links).split(separator: "\n")
            let second = try podman("exec", two, "sh", "-c", links).split(separator: "\n")
            try #require(first.count == 4 && second.count == 4)
            #expect(first[0...2] == second[0...2])
            #expect(first[3] != second[3])
            try waitUntil("an answer over loopback") {
                try podman.outcome(of: "exec", two, "wget", "-qO-", "http://127.0.0.1/").text
                    == word
            }
        }

        @Test func `a user namespace, mapped by hand and by name`() throws {
            let map = "cat /proc/self/uid_map | tr -s ' '; id -u; stat -c %u /etc"
            let by = try podman(
                "run", "--rm", "--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", "box:1",
                "sh", "-c", map)
            #expect(by == " 0 100000 65536\n0\n0")
        }

        @Test func `volumes, tmpfs, a secret and the rest, and a read-only root`() throws {
            let word = randomWord()
            let directory = try node.place.makeDirectory(word)
            let file = try node.place.makeFile("secret", word)
            try podman("secret", "create", word, file)
            let said = try podman(
                "run", "--rm", "--tmpfs", "/tmp:size=1m", "-v", "\(directory):/data",
                "-v", "\(directory):/fixed:ro", "-v", "\(word):/kept", "--secret", word,
                "--hostname", word, "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
                "--ulimit", "nofile=77:88", "--ulimit", "nproc=1000", "--sysctl",
                "net.ipv4.ip_forward=0",
                "--shm-size", "2m", "--init", "box:1", "sh", "-c",
                """
                hostname; ulimit -n; cat /proc/sys/net/ipv4/ip_forward
                touch /fixed/x 2>&1 | wc -l; touch /kept/x; echo in >/tmp/x && cat /tmp/x
                grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t\\n' '  '; echo
                df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2; cat /run/secrets/\(word); echo
                tr '\\0' '\\n' </proc/1/cmdline | head -n 1
                """)
            #expect(
                said.split(separator: "\n") == [
                    "\(word)", "77", "0", "1", "in",
                    "CapEff: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 ", "2048", "\(word)",
                    "/run/podman-init",
                ], "\(said)")
            let closed = try podman.outcome(
                of: "run", "--rm", "--read-only", "box:1", "sh", "-c", "touch /tmp/x && touch /x")
            #expect(closed.code == 1 && closed.errors.contains("Read-only"), "\(closed)")
            try podman("run", "--rm", "-v", "\(directory):/data", "box:1", "touch", "/data/mine")
            #expect(FileManager.default.fileExists(atPath: directory + "/mine"))
            let named = try podman("run", "--rm", "-v", "\(word):/kept", "box:1", "ls", "/kept")
            #expect(named == "x")
        }

        @Test func `containers of a network find each other by name`() throws {
            let (network, word) = (randomWord(), randomWord())
            try podman("network", "create", network)
            let serve = "mkdir /www; echo \(word) >/www/index.html; exec httpd -f -h /www -p 80"
            let name = try start(["--network", network, "-p", "8081:80"], ["sh", "-c", serve])
            defer { remove(name) }
            try waitUntil("an answer") {
                try podman.outcome(
                    of: "run", "--rm", "--network", network, "box:1", "wget", "-qO-",
                    "http://\(name)/"
                ).text == word
            }
        }

        @Test func `top and cp, and nothing stays`() throws {
            let before = try node.leftovers("conmon")
            let mark = "100\(Int.random(in: 100...999))"
            let name = try start([], ["sleep", mark])
            #expect(try podman("top", name, "args").contains("sleep \(mark)"))
            let file = try node.place.makeFile("copied", mark)
            try podman("cp", file, "\(name):/etc/copied")
            #expect(try podman("exec", name, "cat", "/etc/copied") == mark)
            remove(name)
            _ = try podman.outcome(of: "run", "--rm", "box:1", "/nosuch")
            try waitUntil("the end of all") { try node.leftovers("conmon") == before }
        }
    }
}
