import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// Stage 2: process numbers of its own.
    @Suite("Stage 2, pid") struct Stage02Tests {
        @Test("The command is process 1, which a chroot alone does not make it")
        func isProcessOne() throws {
            let rootfs = try place().rootfs()
            let one = try shell(in: .stage02, rootfs, "echo $$")
            #expect(one.line == "1", "\(one)")
            let other = try shell(in: .stage01, rootfs, "echo $$")
            #expect(other.line != "1", "\(other)")
        }

        @Test("The kernel gives the sandboxed process two numbers: the host's and 1")
        func hasTwoNumbers() throws {
            let rootfs = try place().rootfs()
            let running = try Program(Runner.stage02.command(rootfs: rootfs, ["sleep", "1000"]))
            let sandboxed = try running.sandboxed(named: "sleep")
            #expect(try sandboxed.status("NSpid") == ["\(sandboxed.process)", "1"])
            try end(running, sandboxed)
        }

        @Test("The PID namespace is new, and all others are the host's")
        func makesOneNamespace() throws {
            let rootfs = try place().rootfs()
            let running = try Program(Runner.stage02.command(rootfs: rootfs, ["sleep", "1000"]))
            let sandboxed = try running.sandboxed(named: "sleep")
            #expect(try sandboxed.namespace("pid") != Observed.host.namespace("pid"))
            for kind in ["mnt", "uts", "ipc", "net", "user", "cgroup"] {
                #expect(try sandboxed.namespace(kind) == Observed.host.namespace(kind))
            }
            try end(running, sandboxed)
        }

        @Test("A process of the host is seen from a chroot and not from a PID namespace")
        func hidesProcesses() throws {
            let marker = Place.randomWord()
            let rootfs = try place().rootfs()
            let witness = try Program(["sh", "-c", "read line; : \(marker)"], input: .pipe)
            let seen = try attack(in: .stage01, rootfs, "list-processes", marker)
            #expect(seen.gotThrough, "\(seen)")
            let hidden = try attack(in: .stage02, rootfs, "list-processes", marker)
            #expect(hidden.isStopped, "\(hidden)")
            witness.closeInput()
            try witness.wait()
        }

        @Test("/proc shows the sandbox's own processes and no others")
        func showsOwnProcesses() throws {
            let rootfs = try place().rootfs()
            let got = try shell(in: .stage02, rootfs, "cd /proc; echo [0-9]*")
            #expect(got.line == "1", "\(got)")
            let none = try shell(in: .stage01, rootfs, "cd /proc; echo [0-9]*")
            #expect(none.line == "[0-9]*", "a chroot has no /proc: \(none)")
        }

        @Test("A process of the host is killed from a chroot and not from a PID namespace")
        func protectsProcesses() throws {
            let rootfs = try place().rootfs()
            let spared = try Program(["sleep", "1000"])
            let verdict = try attack(in: .stage02, rootfs, "signal", "\(spared.process)")
            #expect(verdict.isStopped, "\(verdict)")
            #expect(!spared.hasEnded)
            #expect(try attack(in: .stage01, rootfs, "signal", "\(spared.process)").gotThrough)
            #expect(try spared.wait().ending == .signalled(SIGTERM))
        }

        @Test("A daemon outlives a chroot and not a PID namespace")
        func endsDaemons() throws {
            let marker = "marker-" + Place.randomWord()
            let rootfs = try place().rootfs()
            #expect(try attack(in: .stage01, rootfs, "outlive", "600", marker).gotThrough)
            let left = Host.processes(mentioning: marker)
            #expect(left.count == 1)
            left.forEach { kill($0, SIGKILL) }
            try waitUntil("the daemon's end") { Host.processes(mentioning: marker).isEmpty }

            let second = "marker-" + Place.randomWord()
            #expect(try attack(in: .stage02, rootfs, "outlive", "600", second).gotThrough)
            #expect(Host.processes(mentioning: second).isEmpty)
        }

        @Test("/proc is mounted where the host sees it, and is gone with the sandbox")
        func mountsOnHost() throws {
            let rootfs = try place().rootfs()
            let running = try Program(Runner.stage02.command(rootfs: rootfs, ["sleep", "1000"]))
            let sandboxed = try running.sandboxed(named: "sleep")
            #expect(try Host.mounts(below: rootfs).map(\.target) == [rootfs + "/proc"])
            try end(running, sandboxed)
            #expect(try Host.mounts(below: rootfs).isEmpty)
        }

        @Test("A second sandbox on the same rootfs is refused, and the first goes on")
        func refusesSecond() throws {
            let rootfs = try place().rootfs()
            let first = try Program(Runner.stage02.command(rootfs: rootfs, ["sleep", "1000"]))
            let sandboxed = try first.sandboxed(named: "sleep")
            let link = try place().directory + "/other-name"
            symlink(rootfs, link)
            for path in [rootfs, link] {
                let second = try run(Runner.stage02.command(rootfs: path, ["true"]))
                expectOneLine(second, code: 125, naming: path + "/proc", "EBUSY")
            }
            #expect(try Host.mounts(below: rootfs).count == 1)
            #expect(access(sandboxed.path("/proc/1/status"), F_OK) == 0)
            try end(first, sandboxed)
        }

        @Test("What a killed owner left mounted is taken away by the next command")
        func sweepsMounts() throws {
            let rootfs = try place().rootfs()
            let other = try place().rootfs()
            for next in [rootfs, other] {
                let killed = try Program(Runner.stage02.command(rootfs: rootfs, ["sleep", "1000"]))
                let sandboxed = try killed.sandboxed(named: "sleep")
                killed.signal(SIGKILL)
                try killed.wait()
                try waitUntil("the sandbox's end") { !sandboxed.isAlive }
                #expect(try Host.mounts(below: rootfs).count == 1)
                #expect(try run(Runner.stage02.command(rootfs: next, ["true"])).code == 0)
                #expect(try Host.mounts(below: rootfs).isEmpty)
            }
        }

        /// Process 1 has no handler for SIGTERM, so only SIGKILL ends it.
        private func end(_ running: Program, _ sandboxed: Observed) throws {
            kill(sandboxed.process, SIGKILL)
            #expect(try running.wait().code == 128 + SIGKILL)
        }
    }
}
