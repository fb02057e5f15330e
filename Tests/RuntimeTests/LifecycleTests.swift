import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// From `create` to `delete`, and what each command says in the wrong state.
    @Suite("Lifecycle") struct LifecycleTests {
        @Test("A container is created, running and stopped, and nothing remains of it")
        func lives() throws {
            let word = Place.randomWord()
            let container = try Container(shell: "echo \(word); exec sleep 1000")
            container.config[at: "annotations"] = ["org.example.word": .string(word)]
            try container.created { process in
                let state = try container.state()
                #expect(state[at: "id"]?.string == container.id)
                #expect(state[at: "status"]?.string == "created")
                #expect(state[at: "bundle"]?.string == container.bundle)
                #expect(state[at: "annotations"]?["org.example.word"]?.string == word)
                #expect(state[at: "ociVersion"]?.string?.hasPrefix("1.") == true)
                #expect(process.isAlive)
                #expect(try process.namespace("pid") != Observed.host.namespace("pid"))
                #expect(container.log.isEmpty)

                #expect(try container.start().code == 0)
                try waitUntil("the container's word") { container.log == word + "\n" }
                #expect(try container.status() == "running")
                #expect(try container.process().process == process.process)
                #expect(try process.status("NSpid").last == "1")

                #expect(try container.kill("KILL").code == 0)
                try container.wait(for: "stopped")
                #expect(!process.isAlive)
                #expect(try container.call("delete").code == 0)
                #expect(try container.call("state").code != 0)
            }
        }

        @Test("start waits for nobody: before it, not even PATH is searched by a program")
        func waitsForStart() throws {
            let container = try Container(shell: "touch /started; sleep 1000")
            try container.created { _ in
                usleep(50_000)
                #expect(access(container.rootfs + "/started", F_OK) != 0)
                #expect(try container.start().code == 0)
                try waitUntil("the program") { access(container.rootfs + "/started", F_OK) == 0 }
            }
        }

        @Test("Exit codes are the program's, or 128 and the signal", arguments: [0, 1, 7, 255])
        func exitsAs(code: Int32) throws {
            #expect(try Container(shell: "exit \(code)").run().ending == .exited(code))
            let signal = [1, 2, 9, 11, 15].randomElement() ?? 9
            let killed = try Container(shell: "kill -\(signal) $$; sleep 5")
            // Process 1 gets only the signals it has handlers for, from its own namespace.
            killed.config[at: "process/args"] = .strings([
                "sh", "-c", "sh -c 'kill -\(signal) $$'; exit $?",
            ])
            #expect(try killed.run().ending == .exited(128 + Int32(signal)))
        }

        @Test("run of a container that a signal from outside kills exits with 128 and its number")
        func exitsAsSignalled() throws {
            let container = try Container()
            try container.save()
            let program = try Program(
                Runtime.command(["run", "--bundle", container.bundle, container.id]))
            try waitUntil("the container") { try container.call("state").code == 0 }
            try container.wait(for: "running")
            #expect(try container.kill("KILL").code == 0)
            #expect(try program.wait().ending == .exited(137))
        }

        @Test("run hands standard input, output and errors through, and signals")
        func handsThrough() throws {
            let word = Place.randomWord()
            let outcome = try Container(shell: "cat; echo bad >&2").run(.text(word))
            #expect(outcome.output == word && outcome.errors == "bad\n", "\(outcome)")

            let trapping = try Container(
                shell: "trap 'exit 23' TERM; touch /ready; while :; do sleep 0.01; done")
            try trapping.save()
            let program = try Program(
                Runtime.command(["run", "--bundle", trapping.bundle, trapping.id]))
            try waitUntil("the trap") { access(trapping.rootfs + "/ready", F_OK) == 0 }
            kill(program.process, SIGTERM)
            #expect(try program.wait().ending == .exited(23))
        }

        @Test(
            "run --keep leaves a stopped container",
            .except(.crun, because: "it has no --keep"))
        func keeps() throws {
            let container = try Container(shell: "exit 3")
            container.options = ["--keep"]
            #expect(try container.run().ending == .exited(3))
            #expect(try container.status() == "stopped")
            #expect(try container.call("delete").code == 0)
        }

        @Test("A paused container does nothing until it is resumed", .needs(.pausing))
        func pauses() throws {
            let script = "while :; do echo x >> /ticks; sleep 0.005; done"
            let container = try Container(shell: script)
            try container.running { process in
                let ticks = container.rootfs + "/ticks"
                try waitUntil("the first tick") { access(ticks, F_OK) == 0 }
                #expect(try container.call("pause").code == 0)
                #expect(try container.status() == "paused")
                let size = try Observed.read(ticks).count
                usleep(60_000)
                #expect(try Observed.read(ticks).count == size)
                let refused = try container.exec([], "true")
                #expect(refused.code != 0 && refused.errors.contains("paused"), "\(refused)")
                #expect(try container.call("resume").code == 0)
                #expect(try container.status() == "running")
                try waitUntil("another tick") { try Observed.read(ticks).count > size }
            }
        }

        @Test("A paused container can be killed and deleted", .needs(.pausing))
        func deletesPaused() throws {
            let container = try Container()
            try container.running { process in
                #expect(try container.call("pause").code == 0)
                #expect(try container.delete().code == 0)
                try waitUntil("its end") { !process.isAlive }
            }
        }

        @Test(
            "Options may come behind the ID", .except(.crun, because: "it takes them for more IDs"))
        func takesLateOptions() throws {
            let container = try Container()
            try container.running { (_) throws in
                let outcome = try run(
                    Runtime.command(["update", container.id, "--pids-limit", "77"]))
                #expect(outcome.code == 0, "\(outcome)")
                #expect(try container.limit("pids", "pids.max", "pids.max") == "77")
            }
        }

        @Test("kill takes signals by number and by name, with and without SIG")
        func killsByName() throws {
            for (name, number) in [("USR1", 10), ("SIGUSR2", 12), ("hup", 1), ("10", 10)] {
                if Runtime.current == .crun, name == "hup" { continue }
                let container = try Container(
                    shell: """
                        trap 'echo \(number) > /got' \(number)
                        touch /ready
                        while :; do sleep 0.01; done
                        """)
                try container.running { _ in
                    try waitUntil("the trap") { access(container.rootfs + "/ready", F_OK) == 0 }
                    #expect(try container.kill(name).code == 0, "\(name)")
                    try waitUntil("signal \(name)") {
                        (try? Observed.read(container.rootfs + "/got")) == "\(number)\n"
                    }
                }
            }
        }

        @Test("kill sends TERM where none is named, and refuses a signal that isn't one")
        func killsByDefault() throws {
            let container = try Container(
                shell: "trap 'exit 0' TERM; touch /ready; while :; do sleep 0.01; done")
            try container.running { process in
                try waitUntil("the trap") { access(container.rootfs + "/ready", F_OK) == 0 }
                let wrong = try container.kill("SIGNOSUCH")
                if Runtime.current != .crun {
                    #expect(wrong.code != 0 && wrong.errors.contains("NOSUCH"), "\(wrong)")
                }
                #expect(process.isAlive)
                #expect(try container.call("kill").code == 0)
                try container.wait(for: "stopped")
            }
        }

        @Test(
            "kill --all reaches every process",
            .except(.crun, because: "it means a pattern"))
        func killsAll() throws {
            let container = try Container(shell: "sleep 1000 & sleep 1000 & touch /ready; wait")
            try container.running { process in
                try waitUntil("both") { process.children.count == 2 }
                let children = process.children
                let outcome = try run(
                    Runtime.command(["kill", "--all", container.id, "KILL"]))
                #expect(outcome.code == 0, "\(outcome)")
                try waitUntil("their end") {
                    children.allSatisfy { !Observed(process: $0).isAlive }
                }
            }
        }

        @Test("An unknown container does not exist, for each command")
        func isUnknown() throws {
            let id = Place.randomWord()
            for words in [
                ["state", id], ["start", id], ["kill", id, "TERM"], ["delete", id],
                ["exec", id, "true"], ["ps", id], ["pause", id], ["resume", id],
                ["update", "--pids-limit", "5", id],
            ] {
                let outcome = try run(Runtime.command(words))
                #expect(outcome.code != 0, "\(outcome)")
                #expect(outcome.output.isEmpty, "\(outcome)")
                if Runtime.current != .crun {
                    #expect(outcome.errors.contains("does not exist"), "\(outcome)")
                }
            }
            #expect(try run(Runtime.command(["delete", "--force", id])).code == 0)
        }

        @Test("An ID is taken once")
        func isTaken() throws {
            let container = try Container()
            try container.running { process in
                let other = try Container(id: container.id)
                for outcome in [try other.run(), try other.create()] {
                    #expect(outcome.code != 0, "\(outcome)")
                    #expect(outcome.errors.contains("exist"), "\(outcome)")
                }
                #expect(try container.status() == "running")
                #expect(process.isAlive)
            }
        }

        @Test("A running container isn't started again, nor deleted without --force")
        func isRunning() throws {
            let container = try Container()
            try container.running { process in
                let started = try container.start()
                #expect(started.code != 0, "\(started)")
                let deleted = try container.call("delete")
                #expect(deleted.code != 0, "\(deleted)")
                if Runtime.current != .crun {
                    #expect(started.errors.contains("cannot start an already running container"))
                    #expect(deleted.errors.contains("cannot delete container"), "\(deleted)")
                    #expect(deleted.errors.contains("that is not stopped: running"))
                }
                #expect(process.isAlive)
            }
        }

        @Test("A stopped container isn't started, killed, paused or entered")
        func isStopped() throws {
            let container = try Container(shell: "exit 0")
            try container.running { _ in
                try container.wait(for: "stopped")
                #expect(try container.state()[at: "pid"]?.number == 0)
                let texts = [
                    "start": "cannot start a container that has stopped",
                    "kill": "container not running", "pause": "not running",
                ]
                for (name, text) in texts {
                    if Runtime.current == .crun { continue }
                    let outcome = try container.call(name)
                    #expect(outcome.code != 0, "\(outcome)")
                    #expect(outcome.errors.contains(text), "\(outcome)")
                }
                let entered = try container.exec([], "true")
                #expect(entered.code != 0, "\(entered)")
                #expect(try container.call("delete").code == 0)
            }
        }

        @Test("A created container can be killed and deleted without ever having been started")
        func isNeverStarted() throws {
            let container = try Container(shell: "touch /started")
            try container.created { process in
                #expect(try container.kill("KILL").code == 0)
                try container.wait(for: "stopped")
                #expect(try container.call("delete").code == 0)
            }
            #expect(access(container.rootfs + "/started", F_OK) != 0)
            let second = try Container()
            try second.created { (process) throws in
                #expect(try second.delete().code == 0)
                #expect(!process.isAlive)
            }
        }

        @Test("A program that is not there is named, and nothing is left")
        func isNotFound() throws {
            let name = Place.randomWord()
            let container = try Container { $0[at: "process/args"] = .strings([name]) }
            let outcome = try container.run()
            #expect(outcome.code != 0, "\(outcome)")
            #expect(
                outcome.errors.contains(name) && outcome.errors.contains("not found in $PATH"),
                "\(outcome)")
            let absolute = try Container { $0[at: "process/args"] = .strings(["/bin/" + name]) }
            let second = try absolute.run()
            #expect(second.code != 0 && second.errors.contains(name), "\(second)")
            #expect(second.errors.lowercased().contains("no such file or directory"), "\(second)")
            let file = try Container { $0[at: "process/args"] = ["/etc/passwd"] }
            let third = try file.run()
            #expect(third.code != 0, "\(third)")
            #expect(third.errors.lowercased().contains("permission denied"), "\(third)")
        }

        @Test("IDs that would be paths are refused", .needs(.strictIDs))
        func refusesIDs() throws {
            for id in ["../x", "a/b", "a b", "", ".", "..", "a\nb"] {
                let container = try Container()
                try container.save()
                let outcome = try run(
                    Runtime.command(["create", "--bundle", container.bundle, "--", id]))
                #expect(outcome.code != 0, "\(id): \(outcome)")
                #expect(try place().contents(of: Runtime.root()).isEmpty)
            }
            for id in ["A.b_c-d+0", "a.."] {
                let container = try Container(id: id)
                try container.running { (_) throws in #expect(try container.status() == "running") }
            }
        }

        @Test("--root keeps containers apart, and list shows only its own")
        func hasRoots() throws {
            let container = try Container()
            try container.running { process in
                let other = try place().state + "/other"
                let unknown = try run(Runtime.bare(["--root", other, "state", container.id]))
                #expect(unknown.code != 0, "\(unknown)")
                let same = try Container(id: container.id)
                same.globalOptions = ["--root", other]
                try same.running { second in
                    #expect(second.process != process.process)
                }
                #expect(try container.status() == "running")
            }
        }

        @Test("--pid-file holds the process's number, for create, run and exec")
        func writesPIDFiles() throws {
            let file = try place().directory + "/pid"
            let container = try Container()
            container.options = ["--pid-file", file]
            try container.created { (process) throws in
                #expect(try Observed.read(file) == "\(process.process)")
            }
            unlink(file)
            try container.running { process in
                #expect(try Observed.read(file) == "\(process.process)")
                unlink(file)
                let outcome = try container.exec(
                    ["--detach", "--pid-file", file], "sleep", "1000")
                #expect(outcome.code == 0, "\(outcome)")
                let number = pid_t(try Observed.read(file))
                let entered = Observed(process: try #require(number))
                #expect(try entered.namespace("pid") == process.namespace("pid"))
                #expect(entered.name == "sleep")
            }
        }

        @Test("If --pid-file can't be written, there is no container either")
        func takesBack() throws {
            let container = try Container()
            container.options = ["--pid-file", try place().directory + "/nowhere/pid"]
            for outcome in [try container.create(), try container.runDetached()] {
                #expect(outcome.code != 0, "\(outcome)")
                #expect(try place().contents(of: Runtime.root()).isEmpty)
            }
        }

        @Test("--preserve-fds hands that many descriptors on, and no more")
        func preservesDescriptors() throws {
            let word = Place.randomWord()
            let file = try place().write(word, to: "handed")
            let container = try Container(shell: "cat <&4; ls /proc/self/fd | wc -w")
            container.options = ["--preserve-fds", "2"]
            try container.save()
            let command = try Runtime.command(
                ["run"] + container.options + ["--bundle", container.bundle, container.id])
            let script = "file=$1; shift; exec 3</dev/null 4<$file 5<$file; exec \"$@\""
            let outcome = try run(["sh", "-c", script, "sh", file] + command)
            // 0, 1, 2, 3, 4, and the one that ls reads the directory by.
            #expect(outcome.output == word + "6\n", "\(outcome)")
        }

        @Test("A service manager's sockets are handed on to whom they are meant for")
        func handsSocketsOn() throws {
            for isOurs in [true, false] {
                let container = try Container(
                    shell: "echo $LISTEN_FDS,$LISTEN_PID; ls /proc/self/fd | wc -w")
                try container.save()
                let command = try Runtime.command(
                    ["run", "--bundle", container.bundle, container.id])
                let script = """
                    exec 3</dev/null; export LISTEN_FDS=1 LISTEN_PID=\(isOurs ? "$$" : "1")
                    exec "$@"
                    """
                let outcome = try run(["sh", "-c", script, "sh"] + command)
                #expect(outcome.output == (isOurs ? "1,1\n5\n" : ",\n4\n"), "\(outcome)")
            }
        }

        @Test("No descriptor is handed on unasked")
        func preservesNothing() throws {
            let file = try place().write("secret", to: "handed")
            let container = try Container(shell: "cat <&5; ls /proc/self/fd | wc -w")
            try container.save()
            let command = try Runtime.command(
                ["run", "--bundle", container.bundle, container.id])
            let script = "file=$1; shift; exec 3<$file 5<$file 9<$file; exec \"$@\""
            let outcome = try run(["sh", "-c", script, "sh", file] + command)
            #expect(outcome.output == "4\n", "\(outcome)")
        }

        @Test("A runtime that is killed at any moment leaves what delete --force takes away")
        func isKilled() throws {
            for _ in 0..<8 {
                let container = try Container()
                try container.save()
                let command = try Runtime.command(
                    ["create", "--bundle", container.bundle, container.id])
                let program = try Program(
                    ["sh", "-c", "exec \"$@\" >/dev/null 2>&1", "sh"] + command)
                usleep(useconds_t.random(in: 0..<12000))
                program.signal(SIGKILL)
                try program.wait()
                #expect(try container.delete().code == 0)
                if Runtime.current == .hull {
                    // The name and everything else are free again.
                    try container.running { (_) throws in
                        #expect(try container.status() == "running")
                    }
                }
            }
        }

        @Test("Many containers start at once")
        func startsMany() throws {
            let containers = try (0..<6).map { number in
                try Container(shell: "exit \(number + 3)")
            }
            let programs = try containers.map { container in
                try container.save()
                return try Program(
                    Runtime.command(["run", "--bundle", container.bundle, container.id]))
            }
            for (number, program) in programs.enumerated() {
                let outcome = try program.wait()
                #expect(outcome.ending == .exited(Int32(number + 3)), "\(outcome)")
            }
        }

        @Test("Without a PID namespace, kill KILL ends every process, even without the first one")
        func killsEveryProcess() throws {
            for isFirstGone in [false, true] {
                let container = try Container(shell: "sleep 1000 & sleep 1001 & exec sleep 1002") {
                    $0.remove(from: "linux/namespaces") { $0[at: "type"] == "pid" }
                }
                try container.running { (process) throws in
                    let file = try #require(container.cgroupDirectory("pids")) + "/cgroup.procs"
                    try waitUntil("three processes") { try Observed.read(file).lines == 3 }
                    if isFirstGone {
                        Foundation.kill(process.process, SIGKILL)
                        try container.wait(for: "stopped")
                    }
                    let outcome = try container.kill("KILL")
                    #expect(outcome.code == 0, "\(outcome)")
                    try waitUntil("their end") { try Observed.read(file).isEmpty }
                }
            }
        }

        @Test("Without a PID namespace, delete --force ends every process nevertheless")
        func endsAll() throws {
            let container = try Container(shell: "sleep 1000 & sleep 1000 & wait") {
                $0[at: "linux/namespaces"] = .array(
                    ["mount", "uts", "ipc", "network"].map(Configuration.namespace))
            }
            var all: [pid_t] = []
            try container.running { (process) throws in
                try waitUntil("both") { process.children.count == 2 }
                all = [process.process] + process.children
            }
            try waitUntil("their end", 2) { all.allSatisfy { !Observed(process: $0).isAlive } }
        }

        @Test("--no-pivot keeps the host's files away, too")
        func hasNoPivot() throws {
            let word = Place.randomWord()
            let file = try place().write(word, to: "secret")
            let container = try Container()
            container.options = ["--no-pivot"]
            let verdict = try container.attack("read-host", file, word)
            #expect(verdict.isStopped, "\(verdict)")
        }

        @Test("delete removes the cgroups, for many containers at once")
        func deletesMany() throws {
            let containers = try (0..<4).map { _ in try Container() }
            for container in containers { #expect(try container.runDetached().code == 0) }
            let listed = try run(Runtime.command(["list", "--quiet"]))
            if Runtime.current != .crun {
                #expect(Set(listed.lines) == Set(containers.map(\.id)), "\(listed)")
            }
            for container in containers {
                #expect(
                    FileManager.default.fileExists(atPath: container.cgroupDirectory("pids") ?? ""))
                #expect(try container.delete().code == 0)
                #expect(
                    !FileManager.default.fileExists(atPath: container.cgroupDirectory("pids") ?? "")
                )
            }
        }
    }
}

extension Place {
    /// The names in a directory; none where there is no such directory.
    func contents(of path: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    }
}
