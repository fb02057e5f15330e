import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// Many sandboxes at once, and owners that are killed at any moment.
    @Suite("At once and at random") struct ParallelTests {
        @Test(
            "Twenty sandboxes on one rootfs run at once and know nothing of each other",
            arguments: Runner.withMounts)
        func runsTwenty(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let before = try fingerprint(of: rootfs)
            let script = """
                test ! -e /tmp/word || exit 90
                echo $0 > /tmp/word; echo ready; read go
                test $(cat /tmp/word) = $0 || exit 91
                cd /proc; echo [0-9]*; exit $1
                """
            let options = runner == .hull ? ["-i"] : []
            let sandboxes = try (0..<20).map { number in
                try Program(
                    runner.command(
                        options, rootfs: rootfs,
                        ["sh", "-c", script, Place.randomWord(), "\(number)"]),
                    input: .pipe)
            }
            for one in sandboxes { try one.waitForOutput("ready") }
            let spaces = try sandboxes.map { try $0.sandboxed().namespace("mnt") }
            #expect(Set(spaces).count == 20)
            for one in sandboxes { one.write("go\n") }
            for (number, one) in sandboxes.enumerated() {
                let got = try one.wait()
                #expect(got.ending == .exited(Int32(number)), "\(got)")
                #expect(got.lines.last == "1", "\(got)")
            }
            #expect(try fingerprint(of: rootfs) == before)
        }

        @Test(
            "Twenty sandboxes started and ended in a hurry leave each other's scratch alone",
            arguments: Runner.withMounts)
        func sweepsOnlyTheDead(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            for _ in 1...5 {
                let sandboxes = try (0..<20).map { _ in
                    try Program(
                        runner.command(
                            rootfs: rootfs, ["sh", "-c", "echo x > /tmp/f && cat /tmp/f"]))
                }
                for one in sandboxes {
                    let got = try one.wait()
                    #expect(got.output == "x\n" && got.code == 0, "\(got)")
                }
            }
        }

        @Test(
            "Whenever the owner is killed, the next command runs and nothing stays",
            arguments: Runner.allCases)
        func survivesKills(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let text = ProcessInfo.processInfo.environment["HULL_TEST_SEED"]
            let seed = text.flatMap { UInt64($0) } ?? UInt64.random(in: 1...UInt64.max)
            print("\(runner.testDescription): kills with HULL_TEST_SEED=\(seed)")
            var random = Seeded(state: seed)
            for _ in 1...60 {
                let delay = UInt32.random(in: 0...15_000, using: &random)
                let script = "echo x > /tmp/f; sleep 1000 & sleep 1000"
                let killed = try Program(runner.command(rootfs: rootfs, ["sh", "-c", script]))
                usleep(delay)
                let tree = Observed(process: killed.process).descendants
                killed.signal(SIGKILL)
                try waitUntil("the end of \(tree) after \(delay) µs", 5) {
                    let left = Host.processes(rootedIn: rootfs)
                    // A chroot has nothing that would end the command's children.
                    if runner == .stage01 { for process in left { kill(process, SIGKILL) } }
                    return left.isEmpty && tree.allSatisfy { !Observed(process: $0).isAlive }
                }
                try killed.wait()
                let next = try run(runner.command(rootfs: rootfs, ["true"]))
                #expect(next.code == 0, "after \(delay) µs: \(next)")
                #expect(try Host.mounts(below: place().directory).isEmpty, "after \(delay) µs")
                #expect(remains(in: try place().state).isEmpty, "after \(delay) µs")
            }
        }

        @Test(
            "The command right after a kill does not wait for the dying sandbox",
            arguments: Runner.withMounts)
        func goesOnAtOnce(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            for _ in 1...20 {
                let killed = try Program(runner.command(rootfs: rootfs, ["sleep", "1000"]))
                usleep(UInt32.random(in: 0...10_000))
                killed.signal(SIGKILL)
                try killed.wait()
                let next = try run(runner.command(rootfs: rootfs, ["true"]))
                #expect(next.code == 0, "\(next)")
            }
            // What was still locked by then, this one takes away.
            try waitUntil("the last sandbox's end") { Host.processes(rootedIn: rootfs).isEmpty }
            usleep(100_000)
            try run(runner.command(rootfs: rootfs, ["true"]))
        }
    }
}

/// Random numbers that a seed gives again. SplitMix64.
private struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
