import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// `--explain`, held against what the kernel was really asked.
    @Suite("--explain") struct ExplainTests {
        /// The calls that make a sandbox.
        private static let calls = [
            "clone3", "unshare", "setns", "mount", "umount2", "move_mount", "open_tree",
            "mount_setattr", "chroot", "pivot_root", "chdir", "fchdir", "sethostname", "setsid",
            "mkdir", "symlink", "execve",
        ]

        /// A command line for each thing that a program can be told to do.
        private static let cases: [(Runner, [String])] = [
            (.stage01, []), (.stage02, []), (.stage02, ["--init"]), (.stage03, []),
            (
                .stage03,
                [
                    "--init", "--read-only", "--tmpfs", "/tmp:size=1m", "-v", "VOLUME:/data/x:ro",
                    "-v", "VOLUME/file:/file", "--keep", "KEEP", "-w", "/var",
                ]
            ),
            (.stage04, []), (.stage04, ["-p", "28080:80", "-p", "127.0.0.1:28053:53/udp"]),
            (.stage06, ["--network", "none"]),
            (
                .stage06,
                [
                    "--memory", "64m", "--cpus", "0.5", "--pids-limit", "50", "--cpuset-cpus", "0",
                    "--network", "none",
                ]
            ),
            (.hull, []),
            (
                .hull,
                [
                    "--init", "--hostname", "named", "--network", "none", "-v", "VOLUME:/data",
                    "-w", "/new", "--read-only", "-i",
                ]
            ),
        ]

        @Test(
            "strace sees the calls that --explain=json tells, all of them and in order",
            arguments: cases.indices)
        func isTrue(_ index: Int) throws {
            let (runner, options) = try prepared(index)
            let rootfs = try place().rootfs()
            let got = try trace(
                runner.command(options + ["--explain=json"], rootfs: rootfs, ["true"]))
            let told = try ExplainTests.told(got.outcome.errors)
            #expect(told.count >= 2 && told.count == got.calls.count, "\(got.outcome)")
            for (told, seen) in zip(told, got.calls) { #expect(told == seen) }
        }

        @Test("What is told of ids and clocks is true, too")
        func isTrueOfIdentity() throws {
            let rootfs = try place().rootfs()
            let options = [
                "--network", "host", "--uid-map", "0:100000:1000", "--time-offset", "boottime=5",
            ]
            let got = try trace(
                Runner.stage05.command(options + ["--explain=json"], rootfs: rootfs, ["true"]))
            let told = try ExplainTests.told(got.outcome.errors)
            #expect(told.count == 2 && told == got.calls, "\(got.outcome)")
        }

        @Test(
            "Without --explain the kernel is asked the same, and nothing is written",
            arguments: [0, 1, 3])
        func costsNothing(_ index: Int) throws {
            let (runner, options) = try prepared(index)
            let rootfs = try place().rootfs()
            // The first run makes the directories that stay.
            try run(runner.command(rootfs: rootfs, ["true"]))
            let on = try trace(
                runner.command(options + ["--explain=json"], rootfs: rootfs, ["true"]))
            let off = try trace(
                runner.command(options, rootfs: rootfs, ["true"]), also: "write,getpid,fcntl")
            #expect(off.outcome.errors.isEmpty)
            let writes = off.calls.joined().filter {
                $0.hasPrefix("write(") || $0.hasPrefix("getpid(")
            }
            // Stage 2 writes a note of its mount.
            #expect(writes.count == (runner == .stage02 ? 1 : 0), "\(writes)")
            let names = Set(ExplainTests.calls)
            let same = off.calls.map {
                $0.filter { names.contains(String($0.prefix { $0 != "(" })) }
            }
            #expect(withoutVariableParts(same) == withoutVariableParts(on.calls))
        }

        @Test(
            "What --explain=shell prints does the same when a shell runs it",
            arguments: cases.indices)
        func canBeReplayed(_ index: Int) throws {
            let (runner, options) = try prepared(index)
            let rootfs = try place().rootfs()
            let word = Place.randomWord()
            try place().write(word, to: rootfs + "/marker")
            let before = try fingerprint(of: rootfs)
            // What there is to see: root, processes, mounts without their numbers, host name.
            let script = """
                cat /marker; pwd; ls /; ls /dev /data /file 2>&1
                test ! -e /proc/self/mounts || cut -d ' ' -f 2-4 /proc/self/mounts
                test ! -e /proc/1/comm || test -e /.dockerenv || cat /proc/1/comm > /dev/null
                """
            let command = runner.command(
                options + ["--explain=shell"], rootfs: rootfs, ["sh", "-c", script])
            let own = try run(command)
            #expect(own.code == 0, "\(own)")
            try startAgain()
            let file = try place().write(own.errors, to: "replay")
            let replay = try run(["sh", file])
            #expect(replay.output.contains(word), "\(replay)")
            #expect(comparable(replay) == comparable(own), "\(own.errors)\n\(replay)")
            #expect(replay.errors.isEmpty, "\(replay)")
            #expect(try fingerprint(of: rootfs) == before)
        }

        @Test(
            "In words, each call stands with its result and its reason", arguments: Runner.allCases)
        func isReadable(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            for option in ["--explain", "--explain=text"] {
                let got = try run(runner.command([option], rootfs: rootfs, ["true"]))
                let lines = got.errors.split(separator: "\n").map(String.init)
                let calls = lines.filter { $0.contains(") = ") }
                #expect(calls.count >= 3, "\(got)")
                #expect(lines.filter { $0.contains("└ ") }.count == calls.count, "\(got)")
                #expect(!got.errors.contains("\u{1B}"), "colour without a terminal")
            }
        }

        @Test("A call that fails is told, with what the kernel answered")
        func tellsFailures() throws {
            let rootfs = try place().rootfs()
            rmdir(rootfs + "/proc")
            let got = try run(
                Runner.stage02.command(["--explain=json"], rootfs: rootfs, ["true"]))
            #expect(got.errors.contains(#""call":"mount""#), "\(got)")
            #expect(got.errors.contains(#""errno":"ENOENT""#), "\(got)")
        }

        /// Makes what a case's options name.
        private func prepared(_ index: Int) throws -> (Runner, [String]) {
            let (runner, options) = ExplainTests.cases[index]
            let volume = try place().makeDirectory("volume")
            try place().write("x", to: "volume/file")
            let keep = try place().directory + "/keep"
            return (
                runner,
                options.map {
                    $0.replacingOccurrences(of: "VOLUME", with: volume)
                        .replacingOccurrences(of: "KEEP", with: keep)
                }
            )
        }

        /// As the machine was before the first run.
        private func startAgain() throws {
            try? FileManager.default.removeItem(atPath: place().state)
            try? FileManager.default.removeItem(atPath: place().directory + "/keep")
        }

        private func comparable(_ outcome: Outcome) -> [String] {
            // The state directories of a sandbox have a random name.
            outcome.lines.map(withoutRandomNames)
        }

        private func withoutVariableParts(_ calls: [[String]]) -> [[String]] {
            calls.map { $0.map { withoutRandomNames(withoutNumbers($0)) } }
        }

        /// Descriptors' numbers and the parent's view of a child's.
        private func withoutNumbers(_ call: String) -> String {
            call.replacingOccurrences(
                of: #"(^(fchdir|open_tree|move_mount|mount_setattr)\()\d+|= \d+$|/\* \d+ vars?"#,
                with: "$1", options: .regularExpression)
        }

        private func withoutRandomNames(_ text: String) -> String {
            text.replacingOccurrences(
                of: "[0-9a-f]{12}(?![0-9a-z])", with: "ID", options: .regularExpression)
        }

        /// Each process's calls as the program told them, the owner's first.
        private static func told(_ text: String) throws -> [[String]] {
            var order: [String] = []
            var calls: [String: [String]] = [:]
            for line in text.split(separator: "\n") {
                let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
                let event = try #require(value as? [String: Any])
                let call = try #require(event["call"] as? String)
                guard ExplainTests.calls.contains(call) else { continue }
                let process = "\(event["side"] ?? "") \(event["pid"] ?? "")"
                if calls[process] == nil { order.append(process) }
                let result = try #require(event["result"] as? Int)
                let errno = (event["errno"] as? String).map { " " + $0 } ?? ""
                calls[process, default: []].append("\(event["strace"] ?? "") = \(result)\(errno)")
            }
            return order.map { calls[$0] ?? [] }
        }

        /// Runs a command under strace: each process's calls, the owner's first.
        private func trace(
            _ command: [String], also more: String = ""
        ) throws -> (outcome: Outcome, calls: [[String]]) {
            let file = try place().directory + "/trace-" + Place.randomWord()
            let set = ExplainTests.calls.joined(separator: ",") + (more.isEmpty ? "" : "," + more)
            let strace = [
                "strace", "-f", "-qq", "-e", "signal=none", "-s", "99999", "-o", file, "-e",
                "trace=" + set,
            ]
            let outcome = try run(strace + command)
            return (outcome, try ExplainTests.seen(Observed.read(file)))
        }

        private static func seen(_ text: String) throws -> [[String]] {
            var order: [Substring] = []
            var calls: [Substring: [String]] = [:]
            var begun: [Substring: String] = [:]
            for line in text.split(separator: "\n") {
                let process = line.prefix { $0 != " " }
                var call = line.dropFirst(process.count).drop { $0 == " " }.description
                if call.hasSuffix(" <unfinished ...>") {
                    begun[process] = String(call.dropLast(" <unfinished ...>".count))
                    continue
                }
                if let mark = call.range(of: " resumed>") {
                    call = (begun[process] ?? "") + call[mark.upperBound...]
                }
                if calls[process] == nil { order.append(process) }
                calls[process, default: []].append(normal(call))
            }
            if let owner = order.first {
                // With the first call strace itself starts the program.
                calls[owner] = Array((calls[owner] ?? []).dropFirst())
            }
            return order.compactMap { calls[$0] }.filter { !$0.isEmpty }
        }

        /// strace pads results into a column and shows more of some structures.
        private static func normal(_ call: String) -> String {
            var text = call
            for (pattern, replacement) in [
                (#"\)\s+= "#, ") = "), (", stack=NULL, stack_size=0", ""),
                (#", attr_clr=0, propagation=0 /\* MS_\?\?\? \*/, userns_fd=0\}, 32\)"#, "})"),
                (#", attr_clr=0, propagation=0[^}]*\}, 32\)"#, "})"),
                (#", attr_clr=0(, propagation=\w+), userns_fd=\d+\}, 32\)"#, "$1})"),
                (#"0x[0-9a-f]+ /\* (\d+) var"#, "/* $1 var"),
                (#"(= -1 E[A-Z0-9]+) \(.*\)$"#, "$1"),
            ] {
                text = text.replacingOccurrences(
                    of: pattern, with: replacement, options: .regularExpression)
            }
            return text
        }
    }
}
