import Foundation
import Testing

extension OrchestrationSuite {
    /// dockerd with the runtime as its default.
    @Suite(.serialized) struct DockerTests {
        private let docker: DockerNode

        init() throws { docker = try DockerNode.shared() }

        @Test func `a container runs, and its exit code comes back`() throws {
            let word = randomWord()
            let said = try docker("run", "--rm", "box:1", "sh", "-c", "echo \(word); hostname")
            #expect(said.hasPrefix(word))
            #expect(
                try docker.outcome(of: "run", "--rm", "box:1", "sh", "-c", "exit 42").code == 42)
            #expect(try docker.outcome(of: "run", "--rm", "box:1", "/nosuch").code == 127)
            #expect(try docker.outcome(of: "run", "--rm", "box:1", "/etc/passwd").code == 126)
            do {
                let name = try docker.start()
                defer { docker.remove(name) }
                #expect(try docker.inspect(name, "{{.HostConfig.Runtime}}") == "hull")
                #expect(try docker.inspect(name, "{{.State.Status}}") == "running")
            }
            let text = "from \(randomWord())\n"
            let file = try docker.node.place.makeFile("input", text)
            #expect(try docker("run", "--rm", "-i", "box:1", "cat", input: file) + "\n" == text)
        }

        @Test func `a terminal is the container's own`() throws {
            #expect(try docker("run", "--rm", "-t", "box:1", "tty").contains("/dev/pts/0"))
            do {
                let name = try docker.start()
                defer { docker.remove(name) }
                #expect(try docker("exec", "-t", name, "tty").contains("/dev/pts/"))
            }
            // The size arrives after the start, by an ioctl on the master's side.
            let name = try docker.start(["-t"], ["sh"])
            defer { docker.remove(name) }
            #expect(try docker.inspect(name, "{{.State.Running}}") == "true")
        }

        @Test func `exec has its own user, directory, environment and exit code`() throws {
            let name = try docker.start(["--env", "A=1"])
            defer { docker.remove(name) }
            let word = randomWord()
            let said = try docker(
                "exec", "--user", "12:34", "--workdir", "/etc", "--env", "B=\(word)", name,
                "sh", "-c", "id -u; id -g; pwd; echo $A $B")
            #expect(said == "12\n34\n/etc\n1 \(word)")
            #expect(try docker.outcome(of: "exec", name, "sh", "-c", "exit 7").code == 7)
            // docker's own code for a command that could not be started, whatever the reason.
            let missing = try docker.outcome(of: "exec", name, "/nosuch")
            #expect(missing.code == 126 && missing.text.contains("no such file"), "\(missing)")
            let closed = try docker.outcome(of: "exec", name, "/etc/passwd")
            #expect(closed.code == 126 && closed.text.contains("ermission denied"), "\(closed)")
            try docker("exec", "--detach", name, "touch", "/tmp/\(word)")
            try waitUntil("a detached exec") {
                try docker.outcome(of: "exec", name, "test", "-e", "/tmp/\(word)").code == 0
            }
            guard try hasAllCapabilities() else { return }
            let capabilities = ["grep", "CapEff", "/proc/self/status"]
            let few = try docker.run(["exec", name] + capabilities)
            let all = try docker.run(["exec", "--privileged", name] + capabilities)
            #expect(few != all)
        }

        @Test func `what a container says is in its log`() throws {
            let (out, err) = (randomWord(), randomWord())
            let name = try docker.start([], ["sh", "-c", "echo \(out); echo \(err) >&2"])
            defer { docker.remove(name) }
            try docker("wait", name)
            let logs = try docker.outcome(of: "logs", name)
            #expect(logs.text == out)
            #expect(logs.errors == err + "\n")
        }

        @Test func `stop asks, and kills who does not listen`() throws {
            let polite = "trap 'exit 3' TERM; touch /ready; while :; do sleep 0.05; done"
            do {
                let name = try docker.start([], ["sh", "-c", polite])
                defer { docker.remove(name) }
                try waitUntilReady(name)
                try docker("stop", name)
                #expect(try docker.inspect(name, "{{.State.ExitCode}}") == "3")
                try docker("start", name)
                #expect(try docker.inspect(name, "{{.State.Status}}") == "running")
                try docker("kill", "--signal", "KILL", name)
                try docker("wait", name)
                #expect(try docker.inspect(name, "{{.State.ExitCode}}") == "137")
            }
            let deaf = "trap '' TERM; touch /ready; while :; do sleep 0.05; done"
            let name = try docker.start([], ["sh", "-c", deaf])
            defer { docker.remove(name) }
            try waitUntilReady(name)
            try docker("stop", "--time", "1", name)
            #expect(try docker.inspect(name, "{{.State.ExitCode}}") == "137")
        }

        private func waitUntilReady(_ name: String) throws {
            try waitUntil("a trap") {
                try docker.outcome(of: "exec", name, "test", "-e", "/ready").code == 0
            }
        }

        @Test func `a container that fails is started again, as often as its policy says`() throws {
            do {
                let name = try docker.start(["--restart", "on-failure:2"], ["sh", "-c", "exit 3"])
                defer { docker.remove(name) }
                try waitUntil("two restarts") {
                    try docker.inspect(name, "{{.RestartCount}} {{.State.Status}}") == "2 exited"
                }
                #expect(try docker.inspect(name, "{{.State.ExitCode}}") == "3")
            }
            let name = try docker.start()
            defer { docker.remove(name) }
            let first = try docker.inspect(name, "{{.State.Pid}}")
            try docker("restart", "--time", "0", name)
            #expect(try docker.inspect(name, "{{.State.Status}}") == "running")
            #expect(try docker.inspect(name, "{{.State.Pid}}") != first)
        }

        @Test func `limits hold, can be changed, and are what stats tells`() throws {
            let limits = ["--memory", "64m", "--pids-limit", "50", "--cpus", "0.5"]
            do {
                let name = try docker.start(limits)
                defer { docker.remove(name) }
                let groups = Groups(docker.node, of: try docker.inspect(name, "{{.State.Pid}}"))
                #expect(try groups.memoryLimit() == 64 << 20)
                #expect(try groups.processLimit() == 50)
                #expect(try groups.processorShare() == 0.5)
                let stats = try docker(
                    "stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", name)
                #expect(stats.contains("/ 64MiB"), "\(stats)")
                #expect(!stats.hasPrefix("0B"), "\(stats)")
                #expect(stats.hasSuffix(" 1"), "\(stats)")
                try docker(
                    "update", "--memory", "96m", "--memory-swap", "96m", "--cpus", "0.25",
                    "--pids-limit", "60", name)
                #expect(try groups.memoryLimit() == 96 << 20)
                #expect(try groups.processLimit() == 60)
                #expect(try groups.processorShare() == 0.25)
            }
            let hog = "head -c 100m /dev/zero | tail >/dev/null"
            let name = try docker.start(
                ["--memory", "16m", "--memory-swap", "16m"], ["sh", "-c", "exec " + hog])
            defer { docker.remove(name) }
            try docker("wait", name)
            #expect(try docker.inspect(name, "{{.State.OOMKilled}}") == "true")
        }

        @Test func `a health check runs inside and sees the container fall ill`() throws {
            let check = [
                "--health-cmd", "test ! -e /ill", "--health-interval", "200ms",
                "--health-retries", "1",
            ]
            let name = try docker.start(check)
            defer { docker.remove(name) }
            try waitUntil("health") {
                try docker.inspect(name, "{{.State.Health.Status}}") == "healthy"
            }
            try docker("exec", name, "touch", "/ill")
            try waitUntil("illness") {
                try docker.inspect(name, "{{.State.Health.Status}}") == "unhealthy"
            }
        }

        @Test func `a paused container stands still`() throws {
            let name = try docker.start([], Node.counting)
            defer { docker.remove(name) }
            try docker.node.expectStandstill(of: try docker.inspect(name, "{{.State.Pid}}")) {
                try docker("pause", name)
                #expect(try docker.inspect(name, "{{.State.Status}}") == "paused")
                #expect(try docker.outcome(of: "exec", name, "true").code != 0)
            } resume: {
                try docker("unpause", name)
            }
        }

        @Test func `top lists its processes, and cp takes files in and out`() throws {
            let mark = "100\(Int.random(in: 100...999))"
            let name = try docker.start([], ["sleep", mark])
            defer { docker.remove(name) }
            #expect(try docker("top", name).contains("sleep \(mark)"))
            let word = randomWord()
            let file = try docker.node.place.makeFile(word, word)
            try docker("cp", file, "\(name):/etc/\(word)")
            #expect(try docker("exec", name, "cat", "/etc/\(word)") == word)
            try docker("cp", "\(name):/etc/\(word)", file + ".back")
            #expect(try String(contentsOfFile: file + ".back", encoding: .utf8) == word)
            #expect(try docker("diff", name).contains("A /etc/\(word)"))
        }

        @Test func `volumes, a read-only root, tmpfs and the rest of the options`() throws {
            let word = randomWord()
            let directory = try docker.node.place.makeDirectory(word)
            let said = try docker(
                "run", "--rm", "--read-only", "--tmpfs", "/tmp:size=1m", "-v", "\(directory):/data",
                "-v", "\(directory):/fixed:ro", "--user", "12:34", "--group-add", "56",
                "--hostname", word, "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
                "--ulimit", "nofile=77:88", "--sysctl", "net.ipv4.ip_forward=0",
                "--shm-size", "2m", "--init", "--oom-score-adj", "100", "box:1", "sh", "-c",
                """
                hostname; id -u; id -G; ulimit -n; cat /proc/sys/net/ipv4/ip_forward
                touch /x /fixed/x 2>&1 | wc -l; echo in >/tmp/x && cat /tmp/x
                grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t\\n' '  '; echo
                cat /proc/self/oom_score_adj; df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2
                tr '\\0' '\\n' </proc/1/cmdline | head -n 1
                """)
            #expect(
                said.split(separator: "\n") == [
                    "\(word)", "12", "34 56", "77", "0", "2", "in",
                    "CapEff: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 ", "100", "2048",
                    "/sbin/docker-init",
                ], "\(said)")
            try docker("run", "--rm", "-v", "\(directory):/data", "box:1", "touch", "/data/mine")
            #expect(FileManager.default.fileExists(atPath: directory + "/mine"))
            let mount = "mount -t tmpfs none /mnt && echo mounted"
            #expect(
                try docker("run", "--rm", "--cap-add", "SYS_ADMIN", "box:1", "sh", "-c", mount)
                    == "mounted")
            guard try hasAllCapabilities() else { return }
            let privileged = try docker(
                "run", "--rm", "--privileged", "box:1", "sh", "-c",
                "mount -t tmpfs none /mnt && ls /dev/loop-control && grep Seccomp: /proc/1/status")
            #expect(privileged == "/dev/loop-control\nSeccomp:\t0")
        }

        @Test func `containers share namespaces by path`() throws {
            let name = try docker.start(["--ipc", "shareable"])
            defer { docker.remove(name) }
            let links = "for n in net ipc pid uts; do readlink /proc/self/ns/$n; done"
            let own = try docker("exec", name, "sh", "-c", links).split(separator: "\n")
            let guest = try docker(
                "run", "--rm", "--network", "container:" + name, "--ipc", "container:" + name,
                "--pid", "container:" + name, "box:1", "sh", "-c", links
            ).split(separator: "\n")
            try #require(own.count == 4 && guest.count == 4)
            #expect(own[0...2] == guest[0...2])
            #expect(own[3] != guest[3])
        }

        @Test func `compose: two services of a network find each other by name`() throws {
            let word = randomWord()
            let file = try docker.node.place.makeFile(
                "compose.yml",
                """
                version: "3.7"
                services:
                  shop:
                    image: box:1
                    command: sh -c 'mkdir /www && echo \(word) >/www/index.html && exec httpd -f -h /www -p 80'
                    healthcheck: {test: ["CMD", "wget", "-qO-", "http://127.0.0.1/"], interval: 1s}
                    restart: always
                  customer:
                    image: box:1
                    depends_on: [shop]
                    command: sh -c 'until wget -qO- http://shop/; do sleep 0.1; done; exec sleep 1000'
                    volumes: ["basket:/basket"]
                volumes: {basket: {}}
                """)
            defer { _ = try? docker.compose(file, "down", "--volumes", "--timeout", "0") }
            try docker.compose(file, "up", "--detach")
            try waitUntil("the customer") {
                try docker.compose(file, "logs", "--no-color", "customer").contains(word)
            }
            try docker.compose(file, "up", "--detach", "--scale", "customer=2")
            try waitUntil("both customers") {
                try docker.compose(file, "logs", "--no-color", "customer")
                    .components(separatedBy: word).count == 3
            }
            #expect(try docker.compose(file, "exec", "-T", "shop", "ls", "/www") == "index.html")
        }

        @Test func `a published port is reached from outside`() throws {
            let word = randomWord()
            let serve = "mkdir /www; echo \(word) >/www/index.html; exec httpd -f -h /www -p 80"
            let name = try docker.start(["--publish", "8080:80"], ["sh", "-c", serve])
            defer { docker.remove(name) }
            try waitUntil("an answer") {
                let fetch =
                    "exec 3<>/dev/tcp/127.0.0.1/8080; echo 'GET / HTTP/1.0' >&3; echo >&3; cat <&3"
                return (try? docker.node("timeout", "2", "bash", "-c", fetch).contains(word))
                    ?? false
            }
        }

        @Test func `nothing stays of a container but what docker keeps`() throws {
            let before = try docker.node.leftovers("shim")
            for _ in 1...3 {
                try docker("run", "--rm", "--memory", "32m", "box:1", "true")
                _ = try docker.outcome(of: "run", "--rm", "box:1", "/nosuch")
            }
            try waitUntil("the shims' end") { try docker.node.leftovers("shim") == before }
        }
    }
}

/// The cgroups of one process of a node, in whichever version the machine has.
struct Groups {
    private let node: Node
    private let process: String

    init(_ node: Node, of process: String) { (self.node, self.process) = (node, process) }

    func memoryLimit() throws -> Int? {
        Int(try read("memory", "memory.limit_in_bytes", "memory.max"))
    }

    func processLimit() throws -> Int? { Int(try read("pids", "pids.max", "pids.max")) }

    /// How much of one processor it may have.
    func processorShare() throws -> Double? {
        let numbers = try read("cpu", "cpu.cfs_quota_us cpu.cfs_period_us", "cpu.max")
            .split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
        return numbers.count == 2 ? numbers[0] / numbers[1] : nil
    }

    /// - Parameters:
    ///   - first: files of version 1.
    ///   - second: files of version 2.
    private func read(_ controller: String, _ first: String, _ second: String) throws -> String {
        try node(
            "bash", "-c",
            """
            while IFS=: read -r id names path; do
                if [[ $id == 0 && -e /sys/fs/cgroup/cgroup.procs ]]; then
                    (cd "/sys/fs/cgroup$path" && cat \(second))
                elif [[ ,$names, == *,\(controller),* ]]; then
                    (cd "/sys/fs/cgroup/$names$path" && cat \(first))
                fi
            done </proc/\(process)/cgroup
            """)
    }
}
