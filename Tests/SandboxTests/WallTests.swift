import CLinux
import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// Seccomp, Landlock, and what a runtime itself must not leave open.
    @Suite("Stage 7, walls") struct Stage07WallTests {
        private static let runners = [Runner.stage07, .hull]

        @Test("A profile of one's own decides, in Docker's form or the OCI's", arguments: runners)
        func filters(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            // ENAMETOOLONG and its neighbours: nothing that mkdir could say by itself.
            let errno = Int32.random(in: 36...39)
            let rule = #""action":"SCMP_ACT_ERRNO","errnoRet":\#(errno)"#
            for (syscalls, isDenied) in [
                (#"{"names":["mkdir","mkdirat"],\#(rule)}"#, true),
                (#"{"name":"mkdir",\#(rule)}"#, true),
                (#"{"names":["mkdir"],\#(rule),"includes":{"caps":["CAP_SYS_ADMIN"]}}"#, false),
                (#"{"names":["mkdir"],\#(rule),"excludes":{"caps":["CAP_CHOWN"]}}"#, false),
                (#"{"names":["mkdir"],\#(rule),"includes":{"minKernel":"9.9"}}"#, false),
                (#"{"names":["mkdir"],\#(rule),"includes":{"minKernel":"4.8"}}"#, true),
                // The mode, as busybox gives it: 0777.
                (
                    #"{"names":["mkdir"],\#(rule),"args":[{"index":1,"value":511,"op":"SCMP_CMP_EQ"}]}"#,
                    true
                ),
                (
                    #"{"names":["mkdir"],\#(rule),"args":[{"index":1,"value":511,"op":"SCMP_CMP_NE"}]}"#,
                    false
                ),
            ] {
                let profile = try place().write(
                    #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[\#(syscalls)]}"#,
                    to: "profile.json")
                let got = try run(
                    runner.command(
                        ["--security-opt", "seccomp=" + profile], rootfs: rootfs,
                        ["mkdir", "/tmp/x"]))
                #expect((got.code != 0) == isDenied, "\(syscalls): \(got)")
                let message = String(cString: strerror(errno))
                #expect(got.errors.contains(message) == isDenied, "\(syscalls): \(got)")
            }
        }

        @Test("A filter is compiled once, and a damaged copy of it is never used")
        func caches() throws {
            let rootfs = try place().rootfs()
            let directory = try place().state + "/seccomp"
            func inode(_ path: String) -> ino_t {
                var status = stat()
                stat(path, &status)
                return status.st_ino
            }
            func entries() throws -> [String] {
                try FileManager.default.contentsOfDirectory(atPath: directory).map {
                    directory + "/" + $0
                }
            }
            let probe = Runner.stage07.command(rootfs: rootfs, ["hull-probe", "new-userns"])
            #expect(try Verdict(run(probe)).isStopped)
            let file = try #require(try entries().first)
            let first = inode(file)
            #expect(try Verdict(run(probe)).isStopped)
            #expect(try entries() == [file] && inode(file) == first, "it was made again")
            let good = try Data(contentsOf: URL(fileURLWithPath: file))
            // Other capabilities, another filter.
            #expect(
                try attack(in: .stage07, rootfs, options: ["--cap-add", "SYS_ADMIN"], "mount")
                    .gotThrough)
            #expect(try entries().count == 2)
            var flipped = good
            flipped[good.count - Int.random(in: 9..<2000)] ^= 0x41
            for (damaged, mode) in [
                (flipped, 0o644), (Data(), 0o644),
                (good.prefix(Int.random(in: 1..<good.count)), 0o644),
                (good + [0], 0o644), (good, 0o666),
            ] as [(Data, mode_t)] {
                try damaged.write(to: URL(fileURLWithPath: file))
                chmod(file, mode)
                #expect(try Verdict(run(probe)).isStopped)
                #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == good, "not repaired")
                chmod(file, 0o644)
            }
            // Others' files, and what would keep a reader waiting.
            chown(file, 1000, 1000)
            #expect(try Verdict(run(probe)).isStopped)
            unlink(file)
            mkfifo(file, 0o600)
            #expect(try Verdict(run(probe)).isStopped)
        }

        @Test("What no Landlock rule names is out of reach, and the rest is as the rule says")
        func hasLandlock() throws {
            guard kernelHas("Landlock", { landlockIsHere }) else { return }
            let rootfs = try place().rootfs()
            let script = "cat /etc/passwd; echo x >/tmp/x && cat /tmp/x; echo y >/var/y"
            let open = try shell(in: .stage07, rootfs, script)
            #expect(open.code == 0 && open.output.contains("root:"), "\(open)")
            for extra in [[], ["--security-opt", "no-new-privileges", "--init"]] {
                let rules = ["--landlock", "ro=/bin,rw=/tmp", "--landlock", "ro=/var"]
                let closed = try shell(in: .stage07, rootfs, options: rules + extra, script)
                #expect(closed.output == "x\n", "\(closed)")
                #expect(closed.code == 1, "\(closed)")
                for path in ["/etc/passwd", "/var/y"] { #expect(closed.errors.contains(path)) }
            }
        }

        private var landlockIsHere: Bool { landlock_abi() > 0 }

        @Test("A supervised mkdir is made by the owner, in its place and as the user who asks")
        func supervises() throws {
            let rootfs = try place().rootfs()
            chmod(rootfs + "/var", 0o777)
            let (name, other) = (Place.randomWord(), Place.randomWord())
            symlink("/var", rootfs + "/tmp/link")
            let script = """
                umask 027; cd /tmp; mkdir \(name) && mkdir /tmp/\(name)/below; stat -c %u:%a \(name)
                mkdir /var/\(other); mkdir /tmp/../var/\(other); mkdir /tmp/link/\(other)
                mkdir \(name); ls /var
                """
            for extra in [[], ["--security-opt", "no-new-privileges", "--init"]] {
                let options = ["--security-opt", "notify=mkdir:/tmp", "-u", "1000"] + extra
                let got = try shell(in: .stage07, rootfs, options: options, script)
                #expect(got.output == "1000:750\n", "\(got)")
                #expect(got.errors.contains("supervised mkdir /tmp/\(name)/below"), "\(got)")
                let lines = got.errors.split(separator: "\n")
                #expect(lines.filter { $0.hasPrefix("supervised") }.count == 6, "\(got)")
                #expect(lines.filter { $0.hasSuffix(": made") }.count == 2, "\(got)")
            }
            // Without the owner's help the same is a matter of modes alone.
            let alone = try shell(in: .stage07, rootfs, options: ["-u", "1000"], "mkdir /var/x")
            #expect(alone.code == 0, "\(alone)")
        }

        @Test("Who is not root can open its own standard output by name")
        func ownsStreams() throws {
            let rootfs = try place().rootfs()
            let outcome = try shell(
                in: .stage07, rootfs, options: ["-u", "1000"], "echo by-name >/dev/stdout")
            #expect(outcome.output == "by-name\n", "\(outcome)")
        }

        @Test("The runtime's program can be had from inside stage 6, and from stage 7 only to read")
        func protectsProgram() throws {
            let rootfs = try place().rootfs()
            let probe = ["hull-probe", "overwrite-runtime", "1"]
            let open = try run(Runner.stage06.command(["--init"], rootfs: rootfs, probe))
            #expect(try Verdict(open).gotThrough, "\(open)")
            for runner in Stage07WallTests.runners {
                for options in [[], ["--cap-add", "SYS_PTRACE"], ["--privileged"]] {
                    let closed = try run(
                        runner.command(options + ["--init"], rootfs: rootfs, probe))
                    #expect(try Verdict(closed).isStopped, "\(closed)")
                }
                // Where its own name leads to itself, the command is the runtime, read-only.
                let itself = try run(
                    runner.command(rootfs: rootfs, ["/proc/self/exe", "--help"]))
                #expect(itself.output.contains("Usage"), "\(itself)")
            }
        }

        @Test("Who may not mount runs the program from sealed memory")
        func sealsProgram() throws {
            // A file of one's own, which could be written, and no capability to mount.
            let program = try place().directory + "/program"
            try FileManager.default.copyItem(atPath: Products.hull, toPath: program)
            chown(program, 65534, 65534)
            chmod(program, 0o755)
            let trace = try place().makeDirectory("trace")
            chown(trace, 65534, 65534)
            let file = trace + "/calls"
            try run(
                [
                    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "strace", "-f",
                    "-e", "trace=memfd_create,execveat", "-o", file, program, "run", "--rootfs",
                    "/nowhere", "true",
                ], environment: ["HULL_ROOT": trace])
            let calls = try Observed.read(file)
            #expect(calls.contains("memfd_create") && calls.contains("execveat("), "\(calls)")
        }

        @Test(
            "A working directory by the number of an open descriptor leads nowhere",
            arguments: [Runner.stage03, .stage07, .hull])
        func leavesNoDescriptors(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let marker = Place.randomWord()
            try place().write("x", to: marker)
            for number in 3...20 {
                let path = "/proc/self/fd/\(number)"
                let command = runner.command(
                    ["-w", path], rootfs: rootfs, ["sh", "-c", "ls -a; ls .."])
                let directory = try place().directory
                let got = try run(
                    ["sh", "-c", "exec 7<\(directory); exec \"$@\"", "sh"] + command)
                #expect(got.code == 125, "\(number): \(got)")
                #expect(!got.output.contains(marker), "\(number): \(got)")
            }
        }

        @Test("A volume's target that leads to an open descriptor makes nothing on the host")
        func makesNothingOutside() throws {
            let (rootfs, source) = (try place().rootfs(), try place().makeDirectory("source"))
            let outside = try place().makeDirectory("outside")
            symlink("/proc/self/fd/7", rootfs + "/data")
            for option in [
                ["-v", source + ":/data/x/y"], ["--tmpfs", "/data/x/y"], ["-w", "/data/x/y"],
            ] {
                let command = Runner.hull.command(option, rootfs: rootfs, ["true"])
                try run(["sh", "-c", "exec 7<\(outside); exec \"$@\"", "sh"] + command)
                #expect(try FileManager.default.contentsOfDirectory(atPath: outside).isEmpty)
            }
        }

        @Test("Whatever is wrong with privileges is one line", arguments: runners)
        func refuses(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            func profile(_ text: String) throws -> String {
                "seccomp=" + (try place().write(text, to: Place.randomWord()))
            }
            let allow = #""defaultAction":"SCMP_ACT_ALLOW","syscalls""#
            let missing = try place().directory + "/" + Place.randomWord()
            for (options, object) in [
                (["--cap-add", "SYS_ADMINN"], "Did you mean SYS_ADMIN?"),
                (["--cap-add", "CAP_XYZZYXYZZY"], "CAP_XYZZYXYZZY"), (["--cap-add", "21"], "21"),
                (["--cap-drop", ""], "capability"), (["--cap-ambient", "x y"], "x y"),
                (["-u", "nobodyelse"], "nobodyelse"), (["-u", "0:nogroup"], "nogroup"),
                (["-u", "1:2:3"], "1:2:3"), (["-u", "-1"], "-1"),
                (["-u", "4294967295"], "4294967295"),
                (["--group-add", "nogroup"], "nogroup"),
                (["--ulimit", "nofil=1"], "Did you mean nofile?"),
                (["--ulimit", "nofile"], "nofile"),
                (["--ulimit", "nofile=2:1"], "2:1"), (["--ulimit", "nofile=x"], "nofile=x"),
                (["--ulimit", "nofile=-3"], "nofile=-3"), (["--ulimit", ""], "ulimit"),
                (["--security-opt", "secomp=x"], "secomp=x"), (["--security-opt", ""], "security"),
                (["--security-opt", "seccomp="], "seccomp="),
                (["--security-opt", "seccomp=" + missing], missing),
                (["--security-opt", "seccomp=/dev/zero"], "/dev/zero"),
                (["--security-opt", "seccomp=/"], "seccomp profile /"),
                (["--security-opt", try profile("{")], "line 1"),
                (["--security-opt", try profile("[]")], "an object"),
                (["--security-opt", try profile("{}")], "defaultAction"),
                (
                    ["--security-opt", try profile(#"{"defaultAction":"SCMP_ACT_NO"}"#)],
                    "SCMP_ACT_NO"
                ),
                (
                    ["--security-opt", try profile(#"{"defaultAction":"SCMP_ACT_ERRNO"}"#)],
                    "execve"
                ),
                (
                    [
                        "--security-opt",
                        try profile(
                            #"{\#(allow):[{"names":["mkdirr"],"action":"SCMP_ACT_ERRNO"}]}"#),
                    ], "mkdirr"
                ),
                (
                    [
                        "--security-opt",
                        try profile(
                            #"{\#(allow):[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}"#),
                    ], "NOTIFY"
                ),
                (
                    [
                        "--security-opt",
                        try profile(
                            #"{\#(allow):[{"names":["mkdir"],"action":"SCMP_ACT_TRAP","args":[{"index":9,"value":1,"op":"SCMP_CMP_EQ"}]}]}"#
                        ),
                    ], "syscalls[0].args[0].index"
                ),
                (
                    [
                        "--security-opt",
                        try profile(
                            #"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_Z80"]}"#
                        ),
                    ], "SCMP_ARCH_Z80"
                ),
                (["--security-opt", "notify=mount"], "notify=mount"),
                (["--security-opt", "label=colour:red"], "colour:red"),
                (["--security-opt", "label=type:a\"b"], "label"),
                (["--landlock", "rw"], "rw"), (["--landlock", "rx=/"], "rx=/"),
                (["--landlock", "ro=relative"], "relative"),
                (["--landlock", "ro=/no/where"], "/no/where"),
            ] as [([String], String)] {
                let got = try run(runner.command(options, rootfs: rootfs, ["true"]))
                expectOneLine(got, code: 125, naming: object)
            }
        }

        @Test("A limit above our own is refused where we may not raise it")
        func refusesHigherLimits() throws {
            let has = try Observed.host.capabilities()["CapEff"].map { $0 & 1 << 24 != 0 } ?? false
            let got = try run(
                Runner.stage07.command(
                    ["--ulimit", "nofile=1048570:1048570"], rootfs: place().rootfs(), ["true"]))
            if has {
                #expect(got.code == 0, "\(got)")
            } else {
                expectOneLine(got, code: 125, naming: "nofile", "EPERM")
            }
        }

        @Test("A security module that this kernel runs without is asked for in vain")
        func needsModule() throws {
            let rootfs = try place().rootfs()
            for (option, module) in [("apparmor=x", "apparmor"), ("label=type:x_t", "selinux")]
            where !VirtualMachine.has(module) {
                let got = try run(
                    Runner.stage07.command(
                        ["--security-opt", option], rootfs: rootfs, ["true"]))
                expectOneLine(got, code: 125, naming: module, "EOPNOTSUPP")
            }
        }

        @Test("An image's own passwd may be anything, and is only read")
        func readsAnyPasswd() throws {
            let rootfs = try place().rootfs()
            let passwd = rootfs + "/etc/passwd"
            for make in [
                { unlink(passwd) }, { mkfifo(passwd, 0o644) },
                { symlink("/proc/self/mem", passwd) },
                { symlink("/dev/zero", passwd) }, { mkdir(passwd, 0o755) },
            ] as [() -> Int32] {
                unlink(passwd)
                _ = make()
                let got = try run(
                    Runner.stage07.command(["-u", "1000"], rootfs: rootfs, ["true"]))
                #expect(got.code == 125 || got.code == 0, "\(got)")
                let named = try run(
                    Runner.stage07.command(["-u", "somebody"], rootfs: rootfs, ["true"]))
                expectOneLine(named, code: 125, naming: "")
                unlink(passwd)
            }
        }
    }
}
