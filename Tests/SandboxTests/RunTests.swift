import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// `hull run`: the first slice of the engine.
    @Suite("hull run") struct RunTests {
        @Test(
            "Mounts, processes, names, IPC and network are the container's own; or the host's network"
        )
        func makesNamespaces() throws {
            let rootfs = try place().rootfs()
            for (options, own) in [
                (["--network", "bridge"], true), (["--network", "host"], false),
                (["--network", "none"], true),
            ] {
                let (running, sandboxed) = try sleeping(rootfs, options)
                for kind in ["mnt", "pid", "uts", "ipc"] {
                    #expect(try sandboxed.namespace(kind) != Observed.host.namespace(kind))
                }
                let isOwn = try sandboxed.namespace("net") != Observed.host.namespace("net")
                #expect(isOwn == own, "\(options)")
                try end(running, sandboxed)
            }
        }

        @Test("Where nothing is said of a network, it is a bridge's")
        func hasBridge() throws {
            let rootfs = try place().rootfs()
            let got = try run(
                [Products.hull, "run", "--rm", "--rootfs", rootfs, "ip", "-o", "addr"])
            #expect(got.output.contains("eth0    inet 10.77."), "\(got)")
        }

        @Test("A container has a session of its own, and so no terminal of the host's")
        func hasSession() throws {
            let rootfs = try place().rootfs()
            let (running, sandboxed) = try sleeping(rootfs, [])
            #expect(getsid(sandboxed.process) == sandboxed.process)
            #expect(getsid(running.process) != sandboxed.process)
            try end(running, sandboxed)
        }

        @Test("An empty network has a loopback link that is up, and nothing else")
        func hasLoopback() throws {
            let rootfs = try place().rootfs()
            let got = try shell(
                in: .hull, rootfs, options: ["--network", "none"],
                "ls /sys/class/net; ip -o addr show up | grep -c 127.0.0.1/8")
            #expect(got.lines == ["lo", "1"], "\(got)")
        }

        @Test("Renaming the host reaches the host from stage 3 and not from hull run")
        func hasOwnName() throws {
            let rootfs = try place().rootfs()
            let before = hostName()
            #expect(try seesName(from: .stage03, rootfs))
            #expect(hostName() == before)
            #expect(try !seesName(from: .hull, rootfs))
            #expect(hostName() == before)
        }

        private func seesName(from runner: Runner, _ rootfs: String) throws -> Bool {
            let name = Place.randomWord()
            let probe = ["hull-probe", "set-hostname", name, "2"]
            let running = try Program(runner.command(rootfs: rootfs, probe))
            var seen = false
            while !running.hasEnded {
                if hostName() == name { seen = true }
                usleep(1000)
            }
            // The probe judges by the kernel's first namespace; a host in a container has another.
            _ = try Verdict(running.wait())
            return seen
        }

        private func hostName() -> String {
            let name = try? Observed.read("/proc/sys/kernel/hostname")
            return name?.trimmingCharacters(in: .newlines) ?? ""
        }

        @Test("The host name is the one asked for, else the container's id")
        func setsName() throws {
            let rootfs = try place().rootfs()
            let name = Place.randomWord()
            let named = try shell(in: .hull, rootfs, options: ["--hostname", name], "hostname")
            #expect(named.line == name, "\(named)")
            let unnamed = try shell(in: .hull, rootfs, "hostname")
            #expect(
                unnamed.line.range(of: "^[0-9a-f]{12}$", options: .regularExpression) != nil,
                "\(unnamed)")
        }

        @Test("Shared memory of the host is found from stage 3 and not from hull run")
        func hidesSharedMemory() throws {
            let rootfs = try place().rootfs()
            let key = Int32.random(in: 0x1000...0x7FFF_FFFF)
            let word = Place.randomWord()
            let segment = shmget(key, 4096, Int32(IPC_CREAT) | 0o600)
            try #require(segment >= 0)
            defer { shmctl(segment, IPC_RMID, nil) }
            let address = try #require(shmat(segment, nil, 0))
            strcpy(address.assumingMemoryBound(to: CChar.self), word)
            shmdt(address)
            #expect(try attack(in: .stage03, rootfs, "shared-memory", "\(key)", word).gotThrough)
            #expect(try attack(in: .hull, rootfs, "shared-memory", "\(key)", word).isStopped)
        }

        @Test("The host's environment is handed on by stage 3 and not by hull run")
        func hidesEnvironment() throws {
            let rootfs = try place().rootfs()
            let name = "SECRET_" + Place.randomWord()
            for (runner, leaks) in [(Runner.stage03, true), (.hull, false)] {
                let got = try run(
                    runner.command(rootfs: rootfs, ["hull-probe", "read-env", name]),
                    environment: [name: "x"])
                #expect(try Verdict(got).gotThrough == leaks, "\(got)")
            }
        }

        @Test("-e sets a variable, or hands on the host's; the rest is the usual")
        func setsEnvironment() throws {
            let rootfs = try place().rootfs()
            let (value, handed) = ("a b=c " + Place.randomWord(), Place.randomWord())
            let options = ["-e", "FIRST=\(value)", "-e", "HANDED", "-e", "MISSING", "-e", "EMPTY="]
            let got = try run(
                Runner.hull.command(options, rootfs: rootfs, ["env"]),
                environment: ["HANDED": handed])
            let expected = [
                "EMPTY=", "FIRST=\(value)", "HANDED=\(handed)", "HOME=/root",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ]
            #expect(got.lines.sorted() == expected, "\(got)")
        }

        @Test("-w is where the command starts, made where it is missing")
        func startsInDirectory() throws {
            let rootfs = try place().rootfs()
            for path in ["/tmp", "/new/" + Place.randomWord()] {
                let got = try shell(in: .hull, rootfs, options: ["-w", path], "pwd")
                #expect(got.line == path, "\(got)")
            }
        }

        @Test("Standard input reaches the command with -i only")
        func readsInput() throws {
            let rootfs = try place().rootfs()
            let word = Place.randomWord()
            let with = try shell(
                in: .hull, rootfs, options: ["-i"], "cat", input: .text(word))
            #expect(with.output == word, "\(with)")
            let without = try shell(in: .hull, rootfs, "cat", input: .text(word))
            #expect(without.output.isEmpty && without.code == 0, "\(without)")
        }

        @Test("A container is listed while it runs and, without --rm, after its end")
        func lists() throws {
            let rootfs = try place().rootfs()
            let hull = Products.hull
            let word = Place.randomWord()
            let command = ["--rootfs", rootfs, "sh", "-c", ": \(word); read x; exit 7"]
            let running = try Program([hull, "run", "-i"] + command, input: .pipe)
            _ = try running.sandboxed(named: "sh")
            #expect(try run([hull, "ps"]).output.contains(word))
            let listed = try containers()
            #expect(listed.count == 1 && listed[0]["running"] as? Bool == true, "\(listed)")
            let record = try #require(listed[0]["container"] as? [String: Any])
            let id = try #require(record["id"] as? String)
            #expect(record["command"] as? [String] == Array(command.dropFirst(2)))

            expectOneLine(try run([hull, "rm", id]), code: 125, naming: id, "EBUSY")
            running.closeInput()
            #expect(try running.wait().code == 7)
            #expect(try !run([hull, "ps"]).output.contains(id))
            #expect(try run([hull, "ps", "-a"]).output.contains("exited (7)"))
            #expect(try run([hull, "rm", String(id.prefix(5))]).code == 0)
            #expect(try containers().isEmpty)
            expectOneLine(try run([hull, "rm", id]), code: 125, naming: id, "ENOENT")
        }

        @Test("With --rm nothing of a container stays, however it ends")
        func removes() throws {
            let rootfs = try place().rootfs()
            for command in [["true"], ["sh", "-c", "kill -9 $$"], ["no-such-command"]] {
                try run(Runner.hull.command(rootfs: rootfs, command))
                #expect(try containers().isEmpty)
            }
        }

        @Test("A container whose owner was killed counts as killed, and can be removed")
        func survivesKill() throws {
            let rootfs = try place().rootfs()
            let running = try Program([Products.hull, "run", "--rootfs", rootfs, "sleep", "1000"])
            let sandboxed = try running.sandboxed(named: "sleep")
            running.signal(SIGKILL)
            try running.wait()
            try waitUntil("the container's end") { !sandboxed.isAlive }
            let listed = try containers()
            #expect(listed.first?["state"] as? String == "killed", "\(listed)")
            let record = try #require(listed.first?["container"] as? [String: Any])
            let id = try #require(record["id"] as? String)
            #expect(try run([Products.hull, "rm", id]).code == 0)
        }

        private func containers() throws -> [[String: Any]] {
            let text = try run([Products.hull, "ps", "-a", "--json"]).output
            let value = try JSONSerialization.jsonObject(with: Data(text.utf8))
            return try #require(value as? [[String: Any]])
        }

        @Test("An image's own command, environment and directory count until others are given")
        func runsImages() throws {
            let rootfs = try place().rootfs()
            let (word, name) = (Place.randomWord(), Place.randomWord())
            let imported = try run([
                Products.hull, "image", "import", "--change",
                #"CMD ["sh", "-c", "echo $WORD; pwd"]"#,
                "--change", "ENV WORD=\(word)", "--change", "WORKDIR /var", rootfs, name,
            ])
            #expect(imported.code == 0, "\(imported)")
            let own = try run([Products.hull, "run", "--rm", name])
            #expect(own.lines == [word, "/var"], "\(own)")
            let other = try run([
                Products.hull, "run", "--rm", "-e", "WORD=x", "-w", "/tmp", name, "sh", "-c",
                "echo $WORD; pwd",
            ])
            #expect(other.lines == ["x", "/tmp"], "\(other)")
            let images = try run([Products.hull, "images"])
            #expect(images.output.contains(name), "\(images)")
            let missing = try run([
                Products.hull, "run", "--rm", "--pull", "never", name + "x",
            ])
            expectOneLine(missing, code: 125, naming: name + "x", "ENOENT")
        }

        @Test(
            "The program that pulls is found beside this one, which runs from elsewhere by then",
            arguments: ["its path", "PATH", "a link"])
        func findsNeighbour(by way: String) throws {
            let hull = Products.hull
            let (link, directory) = (try place().directory + "/linked", hull.dropLast(4))
            #expect(try run(["/bin/ln", "-s", hull, link]).code == 0)
            let program =
                switch way {
                case "PATH": ["/usr/bin/env", "PATH=\(directory):/usr/bin:/bin", "hull"]
                case "a link": [link]
                default: [hull]
                }
            let got = try run(program + ["run", "--rm", "127.0.0.1:1/nothing", "true"])
            #expect(got.code == 125 && got.errors.contains("ECONNREFUSED"), "\(got)")
        }

        @Test("What a container writes does not change its image")
        func protectsImages() throws {
            let name = Place.randomWord()
            let rootfs = try place().rootfs()
            #expect(try run([Products.hull, "image", "import", rootfs, name]).code == 0)
            let script = "test ! -e /tmp/x && echo x > /tmp/x && rm /etc/passwd"
            for _ in 1...2 {
                let got = try run([Products.hull, "run", "--rm", name, "sh", "-c", script])
                #expect(got.code == 0, "\(got)")
            }
        }

        private func sleeping(
            _ rootfs: String, _ options: [String] = []
        ) throws -> (Program, Observed) {
            let command = Runner.hull.command(options, rootfs: rootfs, ["sleep", "1000"])
            let running = try Program(command)
            return (running, try running.sandboxed(named: "sleep"))
        }

        private func end(_ running: Program, _ sandboxed: Observed) throws {
            kill(sandboxed.process, SIGKILL)
            #expect(try running.wait().code == 128 + SIGKILL)
        }
    }
}
