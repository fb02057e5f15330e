import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// Stage 3: mounts of its own, and a root in layers.
    @Suite("Stage 3, overlay") struct Stage03Tests {
        @Test("The mount namespace is new, and what stage 3 does not isolate is the host's")
        func makesNamespaces() throws {
            let rootfs = try place().rootfs()
            let (running, sandboxed) = try sleeping(rootfs)
            for kind in ["mnt", "pid"] {
                #expect(try sandboxed.namespace(kind) != Observed.host.namespace(kind))
            }
            for kind in ["uts", "ipc", "net", "user", "cgroup"] {
                #expect(try sandboxed.namespace(kind) == Observed.host.namespace(kind))
            }
            try end(running, sandboxed)
        }

        @Test("The root is an overlay, and no mount of the host's is left")
        func leavesNoHostMounts() throws {
            let rootfs = try place().rootfs()
            let (running, sandboxed) = try sleeping(rootfs)
            let mounts = try sandboxed.mounts()
            #expect(mounts.first?.target == "/")
            #expect(mounts.first?.type == "overlay")
            let usual = [
                "/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys",
            ]
            for target in usual {
                #expect(mounts.contains { $0.target == target }, "\(target) is not mounted")
            }
            for mount in mounts {
                #expect(mount.target == "/" || !mount.source.hasPrefix("/dev/"), "\(mount)")
                #expect(!mount.target.contains("hull"), "\(mount)")
            }
            try end(running, sandboxed)
        }

        @Test("Mounts of a sandbox do not spread to a host whose mounts are shared")
        func isPrivate() throws {
            let rootfs = try place().rootfs()
            let stage = Runner.stage03.command(rootfs: rootfs, ["sleep", "1000"])
            let running = try Program(["unshare", "-m", "--propagation", "shared"] + stage)
            let sandboxed = try running.sandboxed(named: "sleep")
            let owner = try Observed(process: running.process).mounts()
            #expect(owner.allSatisfy { $0.propagation.contains { $0.hasPrefix("shared:") } })
            #expect(!owner.contains { $0.type == "overlay" && $0.target.contains("merged") })
            let count = try Mount.list(of: "self").count
            #expect(owner.count == count, "the sandbox's mounts have spread: \(owner)")
            #expect(try sandboxed.mounts().allSatisfy { $0.propagation.isEmpty })
            try end(running, sandboxed)
        }

        @Test("A mount made inside shows on the host from stage 2 and not from stage 3")
        func hidesMounts() throws {
            let rootfs = try place().rootfs()
            #expect(try hostSeesMount(from: .stage02, rootfs))
            #expect(try !hostSeesMount(from: .stage03, rootfs))
        }

        private func hostSeesMount(from runner: Runner, _ rootfs: String) throws -> Bool {
            let probe = ["hull-probe", "host-mount", "/tmp", "600"]
            let running = try Program(runner.command(["--init"], rootfs: rootfs, probe))
            let sandboxed = try running.sandboxed(named: "hull-probe")
            try waitUntil("the probe's mount") {
                try sandboxed.mounts().contains { $0.source.hasPrefix("hull-probe-") }
            }
            let seen = try Mount.list(of: "self").contains { $0.source.hasPrefix("hull-probe-") }
            running.signal(SIGTERM)
            let verdict = try Verdict(running.wait())
            #expect(verdict.gotThrough == seen, "\(verdict)")
            return seen
        }

        @Test("Writing changes the image in stage 2 and not in stage 3")
        func protectsLower() throws {
            let rootfs = try place().rootfs()
            let marker = Place.randomWord()
            #expect(
                try attack(in: .stage02, rootfs, "write-lower", "/etc/passwd", marker).gotThrough)
            #expect(try Observed.read(rootfs + "/etc/passwd").contains(marker))
            let before = try fingerprint(of: rootfs)
            let second = Place.randomWord()
            let verdict = try attack(in: .stage03, rootfs, "write-lower", "/etc/passwd", second)
            #expect(verdict.isStopped, "\(verdict)")
            #expect(try fingerprint(of: rootfs) == before)
        }

        @Test("Root climbs out of stage 2 and not out of stage 3")
        func cannotBeLeft() throws {
            let secret = Place.randomWord()
            let file = try place().write(secret + "\n", to: Place.randomWord())
            let rootfs = try place().rootfs()
            for words in [[file, secret], []] {
                let probe = ["hull-probe", "escape-chroot"] + words
                let out = try Verdict(run(Runner.stage02.command(rootfs: rootfs, probe)))
                #expect(out.gotThrough, "\(out)")
                let stays = try Verdict(run(Runner.stage03.command(rootfs: rootfs, probe)))
                #expect(stays.isStopped, "\(stays)")
            }
        }

        @Test("A descriptor of the host that is left open is a way out of stage 2, not of stage 3")
        func leavesNoHandles() throws {
            let rootfs = try place().rootfs()
            for probe in ["old-root", "open-descriptors"] {
                let out = try inheriting(.stage02, rootfs, probe)
                #expect(out.gotThrough, "\(out)")
                let closed = try inheriting(.stage03, rootfs, probe)
                #expect(closed.isStopped, "\(closed)")
            }
        }

        /// Runs an attack with the host's root open as descriptor 7, as a careless caller has it.
        private func inheriting(
            _ runner: Runner, _ rootfs: String, _ probe: String
        ) throws -> Verdict {
            let command = runner.command(rootfs: rootfs, ["hull-probe", probe])
            return try Verdict(run(["sh", "-c", "exec 7</; exec \"$@\"", "sh"] + command))
        }

        @Test("The kernel's memory and its trigger are open in stage 2 and masked in stage 3")
        func masks() throws {
            let rootfs = try place().rootfs()
            for words in [["kcore"], ["sysrq"]] where hostHas(words[0]) {
                let probe = ["hull-probe"] + words
                let open = try Verdict(run(Runner.stage02.command(rootfs: rootfs, probe)))
                #expect(open.gotThrough, "\(open)")
                let masked = try Verdict(run(Runner.stage03.command(rootfs: rootfs, probe)))
                #expect(masked.isStopped, "\(masked)")
            }
        }

        private func hostHas(_ attack: String) -> Bool {
            let file = attack == "kcore" ? "/proc/kcore" : "/proc/sysrq-trigger"
            return kernelHas(file) { access(file, F_OK) == 0 }
        }

        @Test("The kernel's settings can be written in stage 2 and not in stage 3")
        func protectsSettings() throws {
            let rootfs = try place().rootfs()
            let setting = "/proc/sys/kernel/domainname"
            #expect(try attack(in: .stage02, rootfs, "write-readonly", setting).gotThrough)
            #expect(try attack(in: .stage03, rootfs, "write-readonly", setting).isStopped)
            #expect(try attack(in: .stage03, rootfs, "write-readonly", "/sys/kernel").isStopped)
        }

        @Test("What one sandbox writes the next does not find")
        func forgets() throws {
            let rootfs = try place().rootfs()
            let marker = Place.randomWord()
            let script = "test ! -e /tmp/\(marker) && echo \(marker) > /tmp/\(marker)"
            for _ in 1...2 {
                #expect(try shell(in: .stage03, rootfs, script).code == 0)
            }
            // In stage 2 the second finds what the first has written.
            #expect(try shell(in: .stage02, rootfs, script).code == 0)
            #expect(try shell(in: .stage02, rootfs, script).code == 1)
        }

        private func sleeping(_ rootfs: String) throws -> (Program, Observed) {
            let running = try Program(Runner.stage03.command(rootfs: rootfs, ["sleep", "1000"]))
            return (running, try running.sandboxed(named: "sleep"))
        }

        private func end(_ running: Program, _ sandboxed: Observed) throws {
            kill(sandboxed.process, SIGKILL)
            #expect(try running.wait().code == 128 + SIGKILL)
        }
    }
}
