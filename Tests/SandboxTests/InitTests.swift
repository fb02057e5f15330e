import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// What process 1 and its owner owe a command: its exit code, its signals, its input.
    @Suite("Process 1 and its owner") struct InitTests {
        @Test("Every exit code of the command is the program's", arguments: Runner.allCases)
        func passesExitCodes(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            for code in Int32(0)...255 {
                let got = try shell(in: runner, rootfs, "exit \(code)")
                #expect(got.ending == .exited(code), "\(got)")
                #expect(got.errors.isEmpty, "\(got)")
            }
        }

        @Test("--init passes exit codes on", arguments: Runner.withProcesses)
        func passesExitCodesThroughInit(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            for code in Int32(0)...255 where code % 17 == 0 || code > 120 && code < 140 {
                let got = try shell(in: runner, rootfs, options: ["--init"], "exit \(code)")
                #expect(got.ending == .exited(code), "\(got)")
            }
        }

        @Test("A command killed by signal n gives 128 + n", arguments: Runner.allCases)
        func passesSignals(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            // Process 1 cannot be killed from inside: the kernel drops the signal.
            let options = runner == .stage01 ? [] : ["--init"]
            for signal in [SIGHUP, SIGINT, SIGABRT, SIGKILL, SIGSEGV, SIGTERM] {
                let got = try shell(in: runner, rootfs, options: options, "kill -\(signal) $$")
                #expect(got.ending == .exited(128 + signal), "\(got)")
            }
        }

        @Test("A signal to the owner reaches the command", arguments: Runner.allCases)
        func forwards(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            for options in runner == .stage01 ? [[]] : [[], ["--init"]] {
                for (name, number) in [
                    ("TERM", SIGTERM), ("INT", SIGINT), ("HUP", SIGHUP), ("QUIT", SIGQUIT),
                    ("USR1", SIGUSR1), ("USR2", SIGUSR2), ("WINCH", SIGWINCH), ("ALRM", SIGALRM),
                ] {
                    let code = Int32.random(in: 3...99)
                    let script = """
                        trap 'exit \(code)' \(name); echo ready
                        while :; do sleep 0.01; done
                        """
                    let running = try Program(
                        runner.command(options, rootfs: rootfs, ["sh", "-c", script]))
                    try running.waitForOutput("ready")
                    running.signal(number)
                    let got = try running.wait()
                    #expect(got.ending == .exited(code), "SIG\(name): \(got)")
                }
            }
        }

        @Test(
            "SIGTERM ends a command without handlers only with --init",
            arguments: Runner.withProcesses)
        func needsInitToEnd(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let alone = try Program(runner.command(rootfs: rootfs, ["sleep", "1000"]))
            let sandboxed = try alone.sandboxed(named: "sleep")
            alone.signal(SIGTERM)
            usleep(100_000)
            #expect(!alone.hasEnded, "process 1 has no handler and ignores the signal")
            kill(sandboxed.process, SIGKILL)
            try alone.wait()

            let cared = try Program(runner.command(["--init"], rootfs: rootfs, ["sleep", "1000"]))
            _ = try cared.sandboxed(named: "sleep")
            cared.signal(SIGTERM)
            #expect(try cared.wait().ending == .exited(128 + SIGTERM))
        }

        @Test(
            "Orphans stay zombies without --init and are reaped with it",
            arguments: Runner.withProcesses)
        func reaps(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            // The probe is process 1 itself without --init; a shell before it never waits.
            let script = "hull-probe zombies 20; exit $?"
            let without = try shell(in: runner, rootfs, script)
            let with = try shell(in: runner, rootfs, options: ["--init"], script)
            #expect(try Verdict(with).isStopped, "\(with)")
            let probe = ["hull-probe", "zombies", "20"]
            let alone = try Verdict(run(runner.command(rootfs: rootfs, probe)))
            #expect(alone.gotThrough, "\(alone), and below a shell: \(without)")
        }

        @Test(
            "Zombies are seen from outside without --init and not with it",
            arguments: Runner.withProcesses)
        func leavesNoZombies(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            // The innermost shell outlives its parent; process 1 becomes its parent, and sleeps.
            let script = "( (sleep 0.05; echo gone) & ) ; exec sleep 1000"
            for (options, expected) in [([], 1), (["--init"], 0)] {
                let running = try Program(
                    runner.command(options, rootfs: rootfs, ["sh", "-c", script]))
                try running.waitForOutput("gone")
                let owner = Observed(process: running.process)
                var zombies = -1
                try? waitUntil("\(expected) zombies", 2) {
                    zombies = try owner.descendants.filter { try state($0) == "Z" }.count
                    return zombies == expected && owner.descendants.count == 2
                }
                #expect(zombies == expected && owner.descendants.count == 2)
                let last = try running.sandboxed()
                kill(last.process, SIGKILL)
                try running.wait()
            }
        }

        private func state(_ process: pid_t) throws -> String {
            (try? Observed(process: process).status("State").first) ?? "gone"
        }

        private func name(_ process: pid_t) -> String { Observed(process: process).name }

        @Test("With --init the command is a child of process 1", arguments: Runner.withProcesses)
        func isChildOfInit(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let got = try shell(in: runner, rootfs, options: ["--init"], "echo $$ $PPID")
            #expect(got.line == "2 1", "\(got)")
        }

        @Test("The whole tree dies when its owner is killed", arguments: Runner.withProcesses)
        func diesWithOwner(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            for options in [[], ["--init"]] {
                // Sessions of their own do not help them either.
                let script = "setsid sleep 1000 & sleep 1000 & echo ready; exec sleep 1000"
                let running = try Program(
                    runner.command(options, rootfs: rootfs, ["sh", "-c", script]))
                try running.waitForOutput("ready")
                let owner = Observed(process: running.process)
                try waitUntil("three sleepers") {
                    owner.descendants.filter { name($0) == "sleep" }.count == 3
                }
                let tree = owner.descendants
                running.signal(SIGKILL)
                try running.wait()
                try waitUntil("the end of \(tree)") {
                    tree.allSatisfy { !Observed(process: $0).isAlive }
                }
                try run(runner.command(rootfs: rootfs, ["true"]))
            }
        }

        @Test("A chroot's command dies with its owner too, but its children do not")
        func commandDiesWithOwner() throws {
            let rootfs = try place().rootfs()
            let script = "sleep 1000 & echo ready; exec sleep 1000"
            let running = try Program(
                Runner.stage01.command(rootfs: rootfs, ["sh", "-c", script]))
            try running.waitForOutput("ready")
            let owner = Observed(process: running.process)
            try waitUntil("two sleepers") {
                owner.descendants.filter { name($0) == "sleep" }.count == 2
            }
            let command = try #require(owner.children.first)
            let left = owner.descendants.filter { $0 != command }
            running.signal(SIGKILL)
            try running.wait()
            try waitUntil("the command's end") { !Observed(process: command).isAlive }
            #expect(left.allSatisfy { Observed(process: $0).isAlive })
            left.forEach { kill($0, SIGKILL) }
        }

        @Test("Standard input reaches the command, byte for byte", arguments: Runner.allCases)
        func passesInput(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let text = (1...20_000).map { "\($0) \(Place.randomWord())" }.joined(separator: "\n")
            let options = runner == .hull ? ["-i"] : []
            let running = try Program(
                runner.command(options, rootfs: rootfs, ["md5sum"]), input: .pipe)
            running.write(text)
            running.closeInput()
            let expected = try run(["md5sum"], input: .text(text)).line.prefix(32)
            #expect(try running.wait().line.prefix(32) == expected)
        }

        @Test("Output and errors are kept apart and nothing is added", arguments: Runner.allCases)
        func passesOutput(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let (out, err) = (Place.randomWord(), Place.randomWord())
            let got = try shell(in: runner, rootfs, "printf \(out); printf \(err) >&2")
            #expect(got.output == out && got.errors == err, "\(got)")
        }

        @Test("Arguments reach the command as they are", arguments: Runner.allCases)
        func passesArguments(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let words = ["", " ", "a b", "-x", "--", "'\"\\", "zwei\nZeilen", "µ→🐚", "*"]
            let script = #"for word do printf '[%s]' "$word"; done"#
            let got = try run(
                runner.command(rootfs: rootfs, ["sh", "-c", script, "sh"] + words))
            #expect(got.output == words.map { "[\($0)]" }.joined(), "\(got)")
        }

        @Test(
            "The command starts with default signals, none blocked, and three descriptors",
            arguments: Runner.allCases)
        func startsClean(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let running = try Program(
                // As from a shell that ignores SIGPIPE and leaves descriptors open.
                ["sh", "-c", "trap '' PIPE USR1; exec 7< / 8< /etc; exec \"$@\"", "sh"]
                    + runner.command(rootfs: rootfs, ["sleep", "1000"]))
            let sandboxed = try running.sandboxed(named: "sleep")
            for field in ["SigBlk", "SigCgt", "SigIgn"] {
                let mask = UInt64(try sandboxed.status(field).first ?? "", radix: 16)
                // The C library keeps 32 and 33 for itself and touches them nowhere.
                #expect(mask.map { $0 & ~(3 << 31) } == 0, "\(field)")
            }
            let open = try FileManager.default.contentsOfDirectory(
                atPath: "/proc/\(sandboxed.process)/fd")
            if runner != .stage01 && runner != .stage02 {
                #expect(open.sorted() == ["0", "1", "2"], "\(open)")
            }
            kill(sandboxed.process, SIGKILL)
            try running.wait()
        }

        @Test(
            "A closed standard input is refused where the command would read it",
            arguments: Runner.allCases)
        func refusesClosedInput(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let options = runner == .hull ? ["-i"] : []
            let got = try run(
                runner.command(options, rootfs: rootfs, ["true"]), input: .closed)
            expectOneLine(got, code: 125, naming: "standard input", "EBADF")
        }

        @Test("hull run without -i does not mind a closed standard input")
        func toleratesClosedInput() throws {
            let rootfs = try place().rootfs()
            let got = try run(
                Runner.hull.command(rootfs: rootfs, ["sh", "-c", "cat; echo done"]), input: .closed)
            #expect(got.output == "done\n" && got.code == 0, "\(got)")
        }

        @Test(
            "Closed output and errors do not keep a command from running",
            arguments: Runner.allCases)
        func toleratesClosedOutput(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let command = runner.command(
                rootfs: rootfs, ["sh", "-c", "echo x; echo y >&2; exit 5"])
            let got = try run(["sh", "-c", "exec \"$@\" >&- 2>&-", "sh"] + command)
            #expect([5, 1].contains(got.code), "\(got)")
            // Nothing that was opened instead may have got the text.
            #expect(try shell(in: runner, rootfs, "cat /etc/passwd").output.hasPrefix("root:"))
        }
    }
}
