import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// `--explain` of `hull-runtime`, held against what the kernel was really asked.
    @Suite("--explain", .except(.runc, .crun, because: "they tell nothing"))
    struct ExplainTests {
        /// The calls that make a container, or go into one.
        private static let calls = [
            "clone3", "unshare", "setns", "mount", "umount2", "move_mount", "open_tree",
            "mount_setattr", "fsopen", "fsmount", "fspick", "chroot", "pivot_root", "chdir",
            "fchdir", "sethostname", "setdomainname", "setsid", "mkdir", "mkdirat", "symlinkat",
            "mknodat", "sched_setattr", "ioprio_set", "set_mempolicy", "capset", "setgroups",
            "setresuid", "setresgid", "execve", "execveat",
        ]

        @Test("It may stand before or after the command", arguments: [true, false])
        func standsAnywhere(isBefore: Bool) throws {
            let container = try Container(shell: "true")
            if isBefore {
                container.globalOptions = ["--explain"]
            } else {
                container.options = ["--explain"]
            }
            let outcome = try container.run()
            #expect(outcome.ending == .exited(0), "\(outcome)")
            for call in ["clone3(", "pivot_root(", "move_mount(", "capset(", "execve("] {
                #expect(outcome.errors.contains("   \(call)"), "\(call): \(outcome)")
            }
            // Every call has a reason, and every part a name.
            #expect(outcome.errors.contains("└ "), "\(outcome)")
            #expect(!outcome.errors.contains("──  ·"), "\(outcome)")
        }

        @Test("strace sees the calls that --explain=json tells of `run`")
        func isTrueOfRun() throws {
            let container = try Container(shell: "true") {
                $0[at: "process/scheduler"] = ["policy": "SCHED_BATCH", "nice": 3]
                $0[at: "process/ioPriority"] = ["class": "IOPRIO_CLASS_BE", "priority": 4]
                $0[at: "domainname"] = "explained"
                $0[at: "root/readonly"] = true
            }
            try container.save()
            try check(["run", "--explain=json", "--bundle", container.bundle, container.id])
        }

        @Test("strace sees the calls that --explain=json tells of `exec`")
        func isTrueOfExec() throws {
            let container = try Container()
            try container.running { (_) throws in
                try check(["--explain=json", "exec", container.id, "true"])
            }
        }

        private func check(_ words: [String]) throws {
            let file = try place().directory + "/trace-" + Place.randomWord()
            let outcome = try TestSupport.run(
                [
                    "strace", "-f", "-qq", "-e", "signal=none", "-o", file, "-e",
                    "trace=" + ExplainTests.calls.joined(separator: ","),
                ] + Runtime.command(words))
            #expect(outcome.ending == .exited(0), "\(outcome)")
            let told = try ExplainTests.told(outcome.errors)
            let seen = try ExplainTests.seen(Observed.read(file))
            #expect(told.count == 2 && told.count == seen.count, "\(outcome)")
            for (told, seen) in zip(told, seen) { #expect(told == seen) }
        }

        /// Each process's calls as the program told them, the owner's first: the name, and why it
        /// failed where it did.
        private static func told(_ text: String) throws -> [[String]] {
            var order: [String] = []
            var calls: [String: [String]] = [:]
            for line in text.split(separator: "\n") {
                let event = try JSON(output: String(line))
                let call = try #require(event[at: "call"]?.string)
                #expect(event[at: "why"]?.string?.isEmpty == false, "\(line)")
                guard ExplainTests.calls.contains(call) else { continue }
                let process = event[at: "side"]?.string ?? ""
                if calls[process] == nil { order.append(process) }
                let errno = event[at: "errno"]?.string.map { " " + $0 } ?? ""
                calls[process, default: []].append(call + errno)
            }
            return order.map { calls[$0] ?? [] }
        }

        /// The same as strace has seen them.
        private static func seen(_ text: String) -> [[String]] {
            var order: [Substring] = []
            var calls: [Substring: [String]] = [:]
            for line in text.split(separator: "\n") where !line.hasSuffix(" <unfinished ...>") {
                let process = line.prefix { $0 != " " }
                let rest = line.dropFirst(process.count).drop { $0 == " " }
                let words = rest.hasPrefix("<... ") ? rest.dropFirst(5) : rest
                let name = String(words.prefix { $0 != "(" && $0 != " " })
                if calls[process] == nil { order.append(process) }
                let failure = line.range(of: "= -1 ").map { line[$0.upperBound...] }
                let errno = failure.map { " " + $0.prefix { $0 != " " } } ?? ""
                calls[process, default: []].append(name + errno)
            }
            // strace starts the program.
            if let owner = order.first { calls[owner]?.removeFirst() }
            return order.compactMap { calls[$0] }.filter { !$0.isEmpty }
        }
    }
}
