import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// `-t`: a terminal of the sandbox's own.
    @Suite("Terminals") struct TerminalTests {
        @Test(
            "-t gives a terminal from the sandbox's own devpts, and without it there is none",
            arguments: Runner.withMounts)
        func isOwn(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let script = "tty; ls -1 /dev/pts; test -c /dev/console && echo console"
            let with = try session(runner, rootfs, ["sh", "-c", script]).end()
            #expect(with.lines == ["/dev/pts/0", "0", "ptmx", "console"], "\(with)")
            let without = try shell(in: runner, rootfs, script)
            #expect(without.lines == ["not a tty", "ptmx"], "\(without)")
        }

        @Test(
            "The command is the leader of a session whose terminal that is",
            arguments: Runner.withMounts)
        func controls(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let one = try session(runner, rootfs, ["sleep", "1000"])
            let sandboxed = try one.program.sandboxed(named: "sleep")
            let fields = try Observed.read("/proc/\(sandboxed.process)/stat").split(separator: " ")
            #expect(fields[5] == "\(sandboxed.process)", "session")
            #expect(fields[6] != "0", "terminal")
            #expect(fields[7] == "\(sandboxed.process)", "foreground group")
            kill(sandboxed.process, SIGKILL)
            #expect(try one.end().code == 128 + SIGKILL)
        }

        @Test(
            "The sandbox's terminal is as large as the user's, and follows it",
            arguments: Runner.withMounts)
        func resizes(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let script = """
                stty size; trap 'stty size; exit 3' WINCH; echo ready
                while :; do sleep 0.01; done
                """
            let (rows, columns) = (UInt16.random(in: 10...90), UInt16.random(in: 20...300))
            let terminal = try PseudoTerminal(rows: rows, columns: columns)
            let one = try session(runner, rootfs, ["sh", "-c", script], terminal)
            try terminal.expect("ready")
            #expect(terminal.screen.contains("\(rows) \(columns)\r\n"))
            terminal.resize(rows: rows + 1, columns: columns + 2)
            let got = try one.end()
            #expect(got.ending == .exited(3), "\(got)")
            #expect(got.lines.last == "\(rows + 1) \(columns + 2)", "\(got)")
        }

        @Test(
            "Ctrl-C reaches the job in the foreground and not the shell",
            arguments: Runner.withMounts)
        func interrupts(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let one = try session(runner, rootfs, ["sh", "-i"])
            one.terminal.type("echo rea''dy; sleep 1000\n")
            try one.terminal.expect("ready\r\n")
            try waitForSleeper(of: one)
            one.terminal.typeControl("c")
            one.terminal.type("echo code $?; exit 4\n")
            try one.terminal.expect("code 130")
            #expect(try one.end().ending == .exited(4))
        }

        @Test(
            "Ctrl-Z stops the job, the shell goes on, fg brings the job back",
            arguments: Runner.withMounts)
        func controlsJobs(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let one = try session(runner, rootfs, ["sh", "-i"])
            one.terminal.type("sleep 1000\n")
            let sleeper = try waitForSleeper(of: one)
            one.terminal.typeControl("z")
            try one.terminal.expect("Stopped")
            #expect(try sleeper.status("State").first == "T")
            one.terminal.clear()
            one.terminal.type("echo st''ill here; fg\n")
            try one.terminal.expect("still here")
            try waitUntil("the job to go on") { try sleeper.status("State").first == "S" }
            one.terminal.typeControl("c")
            one.terminal.type("exit 6\n")
            #expect(try one.end().ending == .exited(6))
        }

        @discardableResult
        private func waitForSleeper(of one: Session) throws -> Observed {
            let owner = Observed(process: one.program.process)
            var found: Observed?
            try waitUntil("the sleeper in the foreground: \(one.terminal.screen)") {
                found = owner.descendants.map(Observed.init(process:)).first { $0.name == "sleep" }
                guard let found else { return false }
                // stat(5): the terminal's foreground group is the process's own group.
                let line = try Observed.read("/proc/\(found.process)/stat")
                let fields = line.split(separator: " ")
                return fields[4] == fields[7]
            }
            return try #require(found)
        }

        @Test(
            "The user's terminal is raw while the sandbox runs, and as it was afterwards",
            arguments: Runner.withMounts, [["true"], ["sh", "-c", "exit 9"], ["no-such-command"]])
        func restores(_ runner: Runner, _ command: [String]) throws {
            let rootfs = try place().rootfs()
            let terminal = try PseudoTerminal()
            let before = terminal.settings
            let one = try session(runner, rootfs, command, terminal)
            try one.program.wait()
            #expect(terminal.settings == before)
        }

        @Test(
            "The user's terminal is as it was after a signal ended the sandbox",
            arguments: Runner.withMounts)
        func restoresAfterSignal(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            for signal in [SIGTERM, SIGHUP, SIGINT] {
                let terminal = try PseudoTerminal()
                let before = terminal.settings
                let one = try session(
                    runner, rootfs, ["sleep", "1000"], terminal, options: ["--init"])
                _ = try one.program.sandboxed(named: "sleep")
                try waitUntil("a raw terminal") { terminal.settings != before }
                one.program.signal(signal)
                #expect(try one.program.wait().ending == .exited(128 + signal))
                #expect(terminal.settings == before)
            }
        }

        @Test(
            "Stopped by the user's shell, the owner gives the terminal back until it goes on",
            arguments: Runner.withMounts)
        func suspends(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let terminal = try PseudoTerminal()
            let before = terminal.settings
            let one = try session(runner, rootfs, ["sleep", "1000"], terminal, options: ["--init"])
            _ = try one.program.sandboxed(named: "sleep")
            try waitUntil("a raw terminal") { terminal.settings != before }
            let owner = Observed(process: one.program.process)
            one.program.signal(SIGTSTP)
            try waitUntil("the owner to stop") { try owner.status("State").first == "T" }
            #expect(terminal.settings == before)
            one.program.signal(SIGCONT)
            try waitUntil("a raw terminal again") { terminal.settings != before }
            one.program.signal(SIGTERM)
            try one.program.wait()
            #expect(terminal.settings == before)
        }

        @Test("Nothing that is written last is lost", arguments: Runner.withMounts)
        func isComplete(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let word = Place.randomWord()
            for _ in 1...5 {
                let one = try session(runner, rootfs, ["sh", "-c", "seq 1 5000; echo \(word)"])
                let got = try one.end()
                #expect(got.lines == (1...5000).map { "\($0)" } + [word])
            }
        }

        @Test("What is typed reaches the command; with hull run only with -i")
        func passesKeys() throws {
            let rootfs = try place().rootfs()
            let word = Place.randomWord()
            for runner in Runner.withMounts {
                let one = try session(runner, rootfs, ["sh", "-c", "read x; echo got:$x"])
                one.terminal.type(word + "\n")
                #expect(try one.end().output.contains("got:\(word)"))
            }
            let terminal = try PseudoTerminal()
            let command = Runner.hull.command(
                ["-t"], rootfs: rootfs,
                [
                    "sh", "-c", "echo ready; sleep 0.3; echo over",
                ])
            let program = try Program(command, terminal: terminal)
            try terminal.expect("ready")
            terminal.type(word + "\n")
            try terminal.expect("over")
            #expect(try program.wait().code == 0)
        }

        @Test("Standard input that is no terminal is refused with -t")
        func refusesPipes() throws {
            let rootfs = try place().rootfs()
            for (runner, options) in [(Runner.stage03, ["-t"]), (.hull, ["-i", "-t"])] {
                let got = try run(runner.command(options, rootfs: rootfs, ["true"]))
                expectOneLine(got, code: 125, naming: "standard input", "ENOTTY")
            }
        }

        @Test("The third Ctrl-C ends a command that ignores it", arguments: Runner.withProcesses)
        func endsAtThird(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let terminal = try PseudoTerminal()
            let program = try Program(
                runner.command(rootfs: rootfs, ["sleep", "1000"]), terminal: terminal)
            _ = try program.sandboxed(named: "sleep")
            for _ in 1...2 {
                terminal.typeControl("c")
                usleep(100_000)
                #expect(!program.hasEnded)
            }
            terminal.typeControl("c")
            #expect(try program.wait().ending == .exited(128 + SIGKILL))
        }

        @Test("A shared terminal can be typed into from inside, one of its own cannot")
        func cannotInject() throws {
            let rootfs = try place().rootfs()
            let probe = ["hull-probe", "terminal-inject", "x"]
            let terminal = try PseudoTerminal()
            let shared = try Program(
                Runner.stage03.command(rootfs: rootfs, probe), terminal: terminal)
            let verdict = try shared.wait()
            #expect(verdict.code == 0, "\(terminal.screen)")
            let one = try session(.stage03, rootfs, probe)
            #expect(try one.end().code == 1)
        }

        /// A sandbox with a terminal, on a terminal.
        private func session(
            _ runner: Runner, _ rootfs: String, _ command: [String],
            _ terminal: PseudoTerminal? = nil, options: [String] = []
        ) throws -> Session {
            let terminal = try terminal ?? PseudoTerminal()
            let all = (runner == .hull ? ["-i", "-t"] : ["-t"]) + options
            let line = runner.command(all, rootfs: rootfs, command)
            return Session(program: try Program(line, terminal: terminal), terminal: terminal)
        }

        private struct Session {
            let program: Program
            let terminal: PseudoTerminal

            /// Waits for the end; the output is what was shown, with plain line ends.
            func end() throws -> Outcome {
                // A terminal that nobody reads fills up and stops who writes to it.
                try waitUntil("the end of \(program.command), which shows \(terminal.screen)", 20) {
                    _ = terminal.screen
                    return program.hasEnded
                }
                var outcome = try program.wait()
                outcome.output = terminal.screen.replacingOccurrences(of: "\r\n", with: "\n")
                return outcome
            }
        }
    }
}
