import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// What `hull` shows of cgroups, and how it stops them.
    @Suite("hull stats, pause and unpause") struct StatsTests {
        @Test("The figures are those of the cgroup's files")
        func showsUsage() throws {
            let (running, sandboxed, id) = try container(
                ["--memory", "48m", "--pids-limit", "77"],
                "sleep 1000 & sleep 1001 & while :; do :; done")
            let groups = try ObservedGroups(of: sandboxed.process)
            try waitUntil("three processes") {
                groups.value("pids.current", "pids.current") == "3"
            }
            let all = try stats(["--json"])
            let one = try #require(all.first { $0["id"] as? String == id })
            #expect(one["memoryLimit"] as? Int == 48 << 20)
            #expect(one["pids"] as? Int == 3)
            #expect(one["pidsLimit"] as? Int == 77)
            let memory = try #require(one["memory"] as? Int)
            #expect((10 << 10..<48 << 20).contains(memory), "\(memory)")
            // It never sleeps, and gets what others leave it.
            let percent = try #require(one["cpuPercent"] as? Double)
            #expect(percent > 1 && percent < 400, "\(percent)")
            let time = try #require(one["cpuMicroseconds"] as? Int)
            let later = try #require(try stats(["--json", id])[0]["cpuMicroseconds"] as? Int)
            #expect(later > time)
            if access("/proc/pressure/cpu", F_OK) == 0, HostControlGroups.v2 != nil {
                #expect((one["pressure"] as? [String: String])?.keys.count == 3)
            }
            let table = try run([Products.hull, "stats", String(id.prefix(6))])
            #expect(table.lines.count == 2 && table.lines[0].hasPrefix("CONTAINER"), "\(table)")
            #expect(table.lines[1].contains("48 MiB") && table.lines[1].contains("3 / 77"))
            try end(running, sandboxed)
            #expect(try stats(["--json"]).isEmpty)
        }

        @Test("On a terminal the table is drawn again and again in its place")
        func redraws() throws {
            let (running, sandboxed, id) = try container([], "sleep 1000")
            let terminal = try PseudoTerminal()
            let shown = try Program([Products.hull, "stats"], terminal: terminal)
            try waitUntil("a second table") {
                terminal.screen.components(separatedBy: id).count > 2
            }
            // Up by the two lines that stood there, and clear what is below.
            #expect(terminal.screen.contains("\u{1B}[2A\u{1B}[J"), "\(terminal.screen)")
            shown.signal(SIGINT)
            #expect(try shown.wait().ending == .signalled(SIGINT))
            try end(running, sandboxed)
        }

        @Test("A paused container does nothing, and goes on where it was")
        func pauses() throws {
            let (running, sandboxed, id) = try container([], "while :; do :; done")
            let time = { try String(Self.cpuTime(of: sandboxed.process)) }
            #expect(try run([Products.hull, "pause", id]).line == id)
            let stopped = try time()
            usleep(100_000)
            #expect(try time() == stopped)
            let list = try run([Products.hull, "ps"])
            #expect(list.lines.contains { $0.contains(id) && $0.contains("paused") }, "\(list)")
            #expect(try run([Products.hull, "unpause", String(id.prefix(5))]).code == 0)
            try waitUntil("it to go on") { try time() != stopped }
            try end(running, sandboxed)
        }

        @Test("A paused container whose owner is killed is gone after the next command")
        func sweepsPaused() throws {
            for hidden in [[], HostControlGroups.v2.map { [$0] } ?? []] {
                if !hidden.isEmpty, !HostControlGroups.isHybrid { continue }
                let rootfs = try place().rootfs()
                let command = Runner.hull.command(
                    ["--network", "none"], rootfs: rootfs, ["sleep", "1000"])
                // Without version 2 it is the freezer of version 1.
                let running = try Program(HostControlGroups.without(hidden, command))
                let sandboxed = try running.sandboxed(named: "sleep")
                let id = try #require(try stats(["--json"]).first?["id"] as? String)
                let pause = [Products.hull, "pause", id]
                #expect(try run(HostControlGroups.without(hidden, pause)).code == 0)
                running.signal(SIGKILL)
                _ = try running.wait()
                _ = try run(HostControlGroups.without(hidden, [Products.hull, "ps"]))
                try waitUntil("its process to end") { !sandboxed.isAlive }
                try expectNoAbandonedGroups()
            }
        }

        @Test("Who was killed for lack of memory is listed so")
        func listsOutOfMemory() throws {
            let rootfs = try place().rootfs()
            let got = try run([
                Products.hull, "run", "--network", "none", "--memory", "24m", "--memory-swap",
                "24m", "--rootfs", rootfs, "tail", "/dev/zero",
            ])
            #expect(got.code == 137, "\(got)")
            let list = try run([Products.hull, "ps", "-a"])
            #expect(list.output.contains("exited (137, out of memory)"), "\(list)")
        }

        @Test("What is no running container is refused by name")
        func refuses() throws {
            let rootfs = try place().rootfs()
            try run([
                Products.hull, "run", "--network", "none", "--rootfs", rootfs, "true",
            ])
            let all = try run([Products.hull, "ps", "-a"])
            let ended = try #require(all.lines.last?.split(separator: " ").first.map(String.init))
            for command in ["pause", "unpause", "stats"] {
                let missing = try run([Products.hull, command, "nosuch"])
                expectOneLine(missing, code: 125, naming: "nosuch", "ENOENT")
                let over = try run([Products.hull, command, ended])
                expectOneLine(over, code: 125, naming: ended, "ESRCH")
            }
            for command in ["pause", "unpause"] {
                let none = try run([Products.hull, command])
                expectOneLine(none, code: 125, naming: "", "EINVAL")
            }
        }

        private func container(
            _ options: [String], _ script: String
        ) throws -> (Program, Observed, String) {
            let rootfs = try place().rootfs()
            let running = try Program(
                Runner.hull.command(
                    options + ["--network", "none"], rootfs: rootfs, ["sh", "-c", script]))
            let sandboxed = try running.sandboxed(
                named: script.hasPrefix("sleep 1000 &") ? "sh" : nil)
            var id: String?
            try waitUntil("the container in the list") {
                id = try stats(["--json"]).first?["id"] as? String
                return id != nil
            }
            return (running, sandboxed, try #require(id))
        }

        private func stats(_ arguments: [String]) throws -> [[String: Any]] {
            let got = try run([Products.hull, "stats"] + arguments)
            let json = try JSONSerialization.jsonObject(with: Data(got.output.utf8))
            return try #require(json as? [[String: Any]], "\(got)")
        }

        /// In ticks; fields 14 and 15 of /proc/PID/stat.
        private static func cpuTime(of process: pid_t) throws -> Int {
            let text = try Observed.read("/proc/\(process)/stat")
            let fields = text.components(separatedBy: ") ").last?.split(separator: " ") ?? []
            return fields.count > 12 ? (Int(fields[11]) ?? 0) + (Int(fields[12]) ?? 0) : 0
        }

        private func end(_ running: Program, _ sandboxed: Observed) throws {
            kill(sandboxed.process, SIGKILL)
            #expect(try running.wait().code == 128 + SIGKILL)
        }
    }
}
