import CLinux
import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// Stage 7: no more privileges than it needs.
    @Suite("Stage 7, privileges") struct Stage07Tests {
        /// What Docker gives, as bits: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID,
        /// SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
        private static let usual: UInt64 = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31]
            .reduce(0) { $0 | 1 << UInt64($1) }

        @Test("A command has the capabilities that Docker gives, a filter, and nothing to inherit")
        func hasDefaults() throws {
            for options in [[], ["--init"]] {
                try sleeping(options) { (sandboxed: Observed) throws in
                    for process in try [sandboxed] + others(beside: sandboxed) {
                        let all = try process.capabilities()
                        #expect(all == Stage07Tests.sets(Stage07Tests.usual), "\(all)")
                        #expect(try process.status("Seccomp") == ["2"])
                        #expect(try process.status("NoNewPrivs") == ["0"])
                        #expect(try process.status("Groups") == [])
                    }
                }
            }
            try sleeping(in: .stage06) { (sandboxed: Observed) throws in
                let own = try Observed.host.capabilities()
                #expect(try sandboxed.capabilities()["CapEff"] == own["CapEff"])
                #expect(try sandboxed.status("Seccomp") == ["0"])
            }
        }

        private static func sets(_ all: UInt64, ambient: UInt64 = 0) -> [String: UInt64] {
            [
                "CapEff": all, "CapPrm": all, "CapBnd": all, "CapInh": ambient, "CapAmb": ambient,
            ]
        }

        /// Our init, where there is one.
        private func others(beside command: Observed) throws -> [Observed] {
            let parent = Observed(process: pid_t(try command.status("PPid")[0]) ?? 0)
            let isInit = try parent.namespace("pid") == command.namespace("pid")
            return isInit ? [parent] : []
        }

        @Test("Capabilities are added and dropped by name, with and without CAP_, and ALL")
        func changesCapabilities() throws {
            let extra: [(String, UInt64)] = [
                ("SYS_TIME", 25), ("net_admin", 12), ("CAP_SYS_PTRACE", 19), ("cap_syslog", 34),
            ]
            let (name, bit) = try #require(extra.randomElement())
            let host = try #require(try Observed.host.capabilities()["CapBnd"])
            let usual = Stage07Tests.usual
            for (options, expected) in [
                (["--cap-add", name], usual | 1 << bit),
                (["--cap-drop", "MKNOD"], usual & ~(1 << 27)),
                (["--cap-drop", "ALL"], 0), (["--cap-drop", "all", "--cap-add", name], 1 << bit),
                (["--cap-add", "ALL", "--cap-drop", name], host & ~(1 << bit)),
                (["--privileged"], host),
            ] {
                try sleeping(options) { (sandboxed: Observed) throws in
                    #expect(
                        try sandboxed.capabilities() == Stage07Tests.sets(expected), "\(options)")
                }
            }
        }

        @Test("A user is looked up in the image, by name or number, with groups and home")
        func becomesUser() throws {
            let (user, group, more) = (
                Int.random(in: 1000..<50000), Int.random(in: 1000..<50000),
                Int.random(in: 50000..<60000)
            )
            let (name, home) = (Place.randomWord(), "/" + Place.randomWord())
            let rootfs = try rootfs(user: "\(name):x:\(user):\(group)::\(home):/bin/sh")
            try place().write(
                "main:x:\(group):\nmore:x:\(more):\(name)\n", to: rootfs + "/etc/group")
            for (options, ids, groups, isAt) in [
                (["-u", name], (user, group), [more], home),
                (["-u", "\(user)"], (user, group), [more], home),
                (["-u", "\(user + 1)"], (user + 1, 0), [], "/"),
                (["-u", "\(name):more"], (user, more), [], home),
                (["-u", "\(name):77", "--group-add", "more"], (user, 77), [more], home),
                (["-u", "\(name)", "--group-add", "78"], (user, group), [78, more], home),
            ] as [([String], (Int, Int), [Int], String)] {
                let command = Runner.stage07.command(
                    options, rootfs: rootfs, ["sh", "-c", "echo $HOME; sleep 1000"])
                let running = try Program(command)
                let sandboxed = try running.sandboxed(named: "sleep")
                let user = Array(repeating: "\(ids.0)", count: 4)
                let group = Array(repeating: "\(ids.1)", count: 4)
                #expect(try sandboxed.status("Uid") == user, "\(options)")
                #expect(try sandboxed.status("Gid") == group, "\(options)")
                #expect(try sandboxed.status("Groups") == groups.map(String.init), "\(options)")
                let all = try sandboxed.capabilities()
                #expect(all["CapEff"] == 0 && all["CapPrm"] == 0, "\(options): \(all)")
                #expect(all["CapBnd"] == Stage07Tests.usual)
                #expect(running.output == isAt + "\n")
                try end(running, sandboxed)
            }
        }

        @Test("An ambient capability is there without being root; no other is")
        func hasAmbient() throws {
            try sleeping(["-u", "1000", "--cap-ambient", "NET_BIND_SERVICE", "--init"]) {
                sandboxed in
                for process in try [sandboxed] + others(beside: sandboxed) {
                    let all = try process.capabilities()
                    #expect(all["CapEff"] == 1 << 10 && all["CapAmb"] == 1 << 10, "\(all)")
                }
            }
        }

        @Test("A set-user-ID program gives root, and nothing once there are no new privileges")
        func givesNothingNew() throws {
            let rootfs = try rootfs()
            chmod(rootfs + "/bin/hull-probe", 0o4755)
            for (options, gives) in [([], true), (["--security-opt", "no-new-privileges"], false)] {
                let verdict = try attack(
                    in: .stage07, rootfs, options: ["-u", "1000"] + options, "become-root")
                #expect(verdict.gotThrough == gives, "\(verdict)")
            }
            try sleeping(["--security-opt", "no-new-privileges"]) { (sandboxed: Observed) throws in
                #expect(try sandboxed.status("NoNewPrivs") == ["1"])
                #expect(try sandboxed.status("Seccomp") == ["2"])
            }
        }

        @Test("A file's capabilities count as far as the bounding set goes")
        func boundsFiles() throws {
            let rootfs = try rootfs()
            // CAP_NET_RAW, permitted and effective; then CAP_SYS_ADMIN.
            for (bit, options, code) in [
                (UInt32(13), [], 0), (13, ["--security-opt", "no-new-privileges"], 1),
                (13, ["--cap-drop", "NET_RAW"], 126), (21, [], 126),
            ] as [(UInt32, [String], Int32)] {
                let words: [UInt32] = [0x0200_0001, 1 << bit, 0, 0, 0]
                let file = rootfs + "/bin/hull-probe"
                #expect(setxattr(file, "security.capability", words, 20, 0) == 0)
                let got = try run(
                    Runner.stage07.command(
                        ["-u", "1000"] + options, rootfs: rootfs, ["hull-probe", "raw-socket"]))
                #expect(got.code == code, "\(bit) \(options): \(got)")
            }
        }

        @Test("Limits of each process are those that were asked for")
        func limits() throws {
            let number = Int.random(in: 20..<500)
            let options = ["--ulimit", "nofile=\(number):\(number + 1)", "--ulimit", "core=0"]
            try sleeping(options + ["-u", "1000"]) { (sandboxed: Observed) throws in
                let text = try Observed.read("/proc/\(sandboxed.process)/limits")
                let lines = text.split(separator: "\n").map { $0.split(separator: " ") }
                let files = try #require(lines.first { $0.prefix(3) == ["Max", "open", "files"] })
                #expect(files[3...4] == ["\(number)", "\(number + 1)"])
                let core = try #require(
                    lines.first { $0.prefix(4) == ["Max", "core", "file", "size"] })
                #expect(core[4...5] == ["0", "0"])
            }
        }

        @Test(
            "What root may do to a machine, root may do in stage 6 and not in stage 7",
            arguments: [
                ["mount"], ["set-clock"], ["reboot"], ["load-module"], ["io-ports"],
                ["unmask", "/proc/keys"], ["fresh-proc"], ["dmesg"], ["new-userns"], ["bpf"],
                ["io-uring"],
            ])
        func takesAway(_ words: [String]) throws {
            let rootfs = try rootfs()
            let probe = ["hull-probe"] + words
            let open = try run(Runner.stage06.command(rootfs: rootfs, probe))
            guard kernelHas(words[0], { open.code != 2 }) else { return }
            #expect(try Verdict(open).gotThrough, "\(open)")
            for runner in [Runner.stage07, .hull] {
                let closed = try Verdict(run(runner.command(rootfs: rootfs, probe)))
                #expect(closed.isStopped, "\(runner): \(closed)")
            }
        }

        @Test("Capabilities alone stop what takes a capability, and giving it back lets it through")
        func needsCapability() throws {
            let rootfs = try rootfs()
            for (words, capability) in [
                (["mount"], "SYS_ADMIN"), (["set-clock"], "SYS_TIME"), (["reboot"], "SYS_BOOT"),
                (["dmesg"], "SYSLOG"),
            ] {
                let bare = ["--security-opt", "seccomp=unconfined"]
                let probe = ["hull-probe"] + words
                let command = Runner.stage07.command(bare, rootfs: rootfs, probe)
                #expect(try Verdict(run(command)).isStopped, "\(words)")
                let given = Runner.stage07.command(
                    ["--cap-add", capability], rootfs: rootfs, probe)
                #expect(try Verdict(run(given)).gotThrough, "\(words)")
            }
            for (name, capability) in [("raw-socket", "NET_RAW"), ("chroot", "SYS_CHROOT")] {
                #expect(try attack(in: .stage07, rootfs, name).gotThrough)
                let dropped = ["--cap-drop", capability]
                #expect(try attack(in: .stage07, rootfs, options: dropped, name).isStopped)
            }
        }

        @Test("The filter alone stops what takes no capability")
        func needsFilter() throws {
            let rootfs = try rootfs()
            for name in ["new-userns", "io-uring"] {
                let bare = ["--security-opt", "seccomp=unconfined"]
                let open = try run(
                    Runner.stage07.command(bare, rootfs: rootfs, ["hull-probe", name]))
                guard kernelHas(name, { open.code != 2 }) else { continue }
                #expect(try Verdict(open).gotThrough, "\(open)")
                #expect(try attack(in: .stage07, rootfs, name).isStopped)
                let promised = ["--security-opt", "no-new-privileges", "-u", "1000", "--init"]
                #expect(try attack(in: .stage07, rootfs, options: promised, name).isStopped)
            }
        }

        @Test("Our init cannot be taken hold of, nor a file by its number")
        func holdsOthers() throws {
            let rootfs = try rootfs()
            let disk = try place().makeDirectory("disk")
            for words in [["ptrace", "1"], ["open-handle", "/disk"]] {
                let probe = ["hull-probe"] + words
                let options = ["--init", "-v", disk + ":/disk"]
                let open = try run(Runner.stage06.command(options, rootfs: rootfs, probe))
                guard kernelHas("handles of an ext file system", { open.code != 2 }) else {
                    continue
                }
                #expect(try Verdict(open).gotThrough, "\(open)")
                let closed = try run(Runner.stage07.command(options, rootfs: rootfs, probe))
                #expect(try Verdict(closed).isStopped, "\(closed)")
            }
        }

        @Test("Keys of the host's session: the keyring and the filter each keep them")
        func hasKeyring() throws {
            let rootfs = try rootfs()
            let (name, value) = (Place.randomWord(), Place.randomWord())
            func reading(_ runner: Runner, _ options: [String]) throws -> Verdict {
                let command = runner.command(
                    options, rootfs: rootfs, ["hull-probe", "read-key", name, value])
                return try Verdict(run([Products.probe, "hold-key", name, value] + command))
            }
            let open = try reading(.stage06, [])
            #expect(open.gotThrough, "\(open)")
            #expect(try reading(.stage07, []).isStopped)
            let bare = try reading(.stage07, ["--security-opt", "seccomp=unconfined"])
            #expect(bare.isStopped, "\(bare)")
            // The other way round: the host's keyring would be there, but the filter is too.
            let seen = try run([Products.probe, "hold-key", name, value, "cat", "/proc/keys"])
            #expect(seen.output.contains(name))
        }

        @Test("The owner's death ends a command that has become another user")
        func diesWithOwner() throws {
            for options in [["-u", "1000"], ["-u", "1000", "--init"]] {
                let running = try Program(
                    Runner.stage07.command(options, rootfs: rootfs(), ["sleep", "1000"]))
                let sandboxed = try running.sandboxed(named: "sleep")
                running.signal(SIGKILL)
                try running.wait()
                try waitUntil("the command's end") { !sandboxed.isAlive }
                // What the owner could not clear away, the next command does.
                #expect(try run(Runner.stage07.command(rootfs: rootfs(), ["true"])).code == 0)
            }
        }

        @Test("An image's USER counts until another is given")
        func obeysImage() throws {
            let name = Place.randomWord()
            let rootfs = try rootfs(user: "app:x:1234:2345::/app:/bin/sh")
            let imported = try run([
                Products.hull, "image", "import", "--change", "USER app", rootfs, name,
            ])
            #expect(imported.code == 0, "\(imported)")
            let script = ["sh", "-c", "id -u; id -g; echo $HOME"]
            let own = try run([Products.hull, "run", "--rm", name] + script)
            #expect(own.lines == ["1234", "2345", "/app"], "\(own)")
            let other = try run([Products.hull, "run", "--rm", "-u", "0", name] + script)
            #expect(other.lines == ["0", "0", "/root"], "\(other)")
        }

        @Test("A terminal belongs to the user that the command runs as")
        func handsTerminalOver() throws {
            let terminal = try PseudoTerminal()
            let command = Runner.stage07.command(
                ["-t", "-u", "1000"], rootfs: try rootfs(),
                ["sh", "-c", "echo fine > /dev/pts/0 && echo fine > /dev/tty && echo done; exit 3"])
            let running = try Program(command, terminal: terminal)
            try terminal.expect("done")
            #expect(try running.wait().code == 3)
        }

        // MARK: -

        private func rootfs(user line: String = "app:x:1000:1000::/:/bin/sh") throws -> String {
            let rootfs = try place().rootfs()
            let own = try Observed.read(rootfs + "/etc/passwd")
            try place().write(own + line + "\n", to: rootfs + "/etc/passwd")
            return rootfs
        }

        private func sleeping(
            _ options: [String] = [], in runner: Runner = .stage07,
            _ body: (Observed) throws -> Void
        ) throws {
            let running = try Program(
                runner.command(options, rootfs: rootfs(), ["sleep", "1000"]))
            let sandboxed = try running.sandboxed(named: "sleep")
            try body(sandboxed)
            try end(running, sandboxed)
        }

        private func end(_ running: Program, _ sandboxed: Observed) throws {
            kill(sandboxed.process, SIGKILL)
            #expect(try running.wait().code == 128 + SIGKILL)
        }
    }
}
