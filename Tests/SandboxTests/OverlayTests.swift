import Foundation
import Testing

@testable import TestSupport

/// Names that have a meaning to a shell, to mountinfo or to overlayfs.
let oddNames = [
    "with space", "comma,here", "back\\slash", "quote'\"", "ünï→🐚", "$dollar*?", "-dash",
    "new\nline", "equals=lowerdir", " leading", "tab\there", "back\\,both", "hash#",
]

extension KernelSuite {
    /// The layers of the root.
    @Suite("Overlays") struct OverlayTests {
        @Test(
            "Whatever is done inside, the lower layer stays as it was", arguments: Runner.withMounts
        )
        func keepsLower(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            try place().write("x", to: rootfs + "/var/deep/below/file")
            let before = try fingerprint(of: rootfs)
            let script = """
                echo more >> /etc/passwd && chmod 600 /etc/group && chown 5:5 /etc/group &&
                rm /bin/cat && mv /var/deep /var/moved && rm -r /var/moved/below &&
                mkdir /etc/new && ln /etc/passwd /etc/linked && touch -d 2001-01-01 /bin/busybox &&
                mv /tmp /tmp2 && rmdir /root && echo done
                """
            let got = try shell(in: runner, rootfs, script)
            #expect(got.line == "done", "\(got)")
            #expect(try fingerprint(of: rootfs) == before)
        }

        @Test(
            "Directories that the root file system lacks are made, but not in it",
            arguments: Runner.withMounts)
        func completes(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            unlink(rootfs + "/dev/null")
            for name in ["dev", "sys"] { rmdir(rootfs + "/" + name) }
            let before = try fingerprint(of: rootfs)
            let got = try shell(in: runner, rootfs, "test -c /dev/null && ls /sys/kernel")
            #expect(got.code == 0, "\(got)")
            #expect(try fingerprint(of: rootfs) == before)
        }

        @Test("--keep keeps what is written in DIR/upper, and the next sandbox finds it")
        func keeps() throws {
            let rootfs = try place().rootfs()
            let keep = try place().directory + "/keep"
            let word = Place.randomWord()
            let options = ["--keep", keep]
            let first = try shell(
                in: .stage03, rootfs, options: options,
                "echo \(word) > /etc/kept && rm /etc/passwd && mkdir /var/made")
            #expect(first.code == 0, "\(first)")
            #expect(try Observed.read(keep + "/upper/etc/kept") == word + "\n")
            let second = try shell(
                in: .stage03, rootfs, options: options,
                "cat /etc/kept; test -e /etc/passwd || echo gone; test -d /var/made && echo made")
            #expect(second.lines == [word, "gone", "made"], "\(second)")
            // Without it there is nothing of all that.
            let other = try shell(in: .stage03, rootfs, "ls /etc/kept /etc/passwd")
            #expect(other.lines == ["/etc/passwd"], "\(other)")
        }

        @Test("A deleted file is a whiteout in the upper layer: a device 0, 0")
        func whitesOut() throws {
            let rootfs = try place().rootfs()
            let keep = try place().directory + "/keep"
            let removal = try shell(
                in: .stage03, rootfs, options: ["--keep", keep], "rm /etc/passwd")
            #expect(removal.code == 0, "\(removal)")
            var status = stat()
            #expect(lstat(keep + "/upper/etc/passwd", &status) == 0)
            #expect(status.st_mode & S_IFMT == S_IFCHR && status.st_rdev == 0)
            #expect(access(rootfs + "/etc/passwd", F_OK) == 0)
        }

        @Test("A kept directory serves one sandbox at a time")
        func locks() throws {
            let rootfs = try place().rootfs()
            let keep = try place().directory + "/keep"
            let command = Runner.stage03.command(["--keep", keep], rootfs: rootfs, ["sh"])
            let first = try Program(command + ["-c", "read x"], input: .pipe)
            _ = try first.sandboxed(named: "sh")
            expectOneLine(try run(command + ["-c", "true"]), code: 125, naming: keep, "EBUSY")
            first.closeInput()
            try first.wait()
            #expect(try run(command + ["-c", "true"]).code == 0)
        }

        @Test("A root file system may have any name", arguments: oddNames + ["colon:here"])
        func acceptsOddRootfs(_ name: String) throws {
            let word = Place.randomWord()
            let rootfs = try place().rootfs(name)
            try place().write(word, to: rootfs + "/marker")
            for runner in Runner.allCases {
                let got = try run(runner.command(rootfs: rootfs, ["cat", "/marker"]))
                #expect(got.output == word, "\(got)")
            }
        }

        @Test(
            "A kept directory and the state may have any name", arguments: oddNames + ["colon:here"]
        )
        func acceptsOddDirectories(_ name: String) throws {
            let word = Place.randomWord()
            let rootfs = try place().rootfs()
            let keep = try place().makeDirectory(name + "/keep")
            let state = try place().makeDirectory(name + "/state")
            for runner in Runner.withMounts {
                let hasName = runner != .stage03 && runner != .stage04
                let options = hasName ? ["--hostname", "x"] : []
                let got = try shell(
                    in: runner, rootfs, options: options, "echo \(word) > /f; cat /f",
                    environment: ["HULL_ROOT": state])
                #expect(got.line == word, "\(got)")
            }
            let kept = try shell(
                in: .stage03, rootfs, options: ["--keep", keep], "echo \(word) > /f")
            #expect(kept.code == 0, "\(kept)")
            #expect(try Observed.read(keep + "/upper/f") == word + "\n")
            #expect(remains(in: state).isEmpty)
        }

        @Test(
            "--read-only makes the root read-only and leaves memory and volumes alone",
            arguments: Runner.withMounts)
        func isReadOnly(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let volume = try place().makeDirectory("volume")
            let script = """
                for file in /f /etc/passwd /new/f /tmp/f /data/f /dev/shm/f; do
                    (echo x >> $file) 2>/dev/null && echo $file
                done; true
                """
            let options = ["--read-only", "--tmpfs", "/tmp", "-v", volume + ":/data"]
            let with = try shell(in: runner, rootfs, options: options, script)
            #expect(with.lines == ["/tmp/f", "/data/f", "/dev/shm/f"], "\(with)")
            let without = try shell(in: runner, rootfs, script)
            #expect(without.lines == ["/f", "/etc/passwd", "/tmp/f", "/dev/shm/f"], "\(without)")
            let error = try shell(in: runner, rootfs, options: options, "touch /f")
            #expect(error.errors.contains("Read-only file system"), "\(error)")
        }

        @Test(
            "--tmpfs is a file system in memory, with the options asked for",
            arguments: Runner.withMounts)
        func mountsMemory(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let options = ["--tmpfs", "/made/here:size=64k,mode=1700", "--tmpfs", "/tmp"]
            let running = try Program(
                runner.command(options, rootfs: rootfs, ["sleep", "1000"]))
            let sandboxed = try running.sandboxed(named: "sleep")
            let mounts = try sandboxed.mounts()
            let made = try #require(mounts.last { $0.target == "/made/here" })
            #expect(made.type == "tmpfs" && made.superOptions.contains("size=64k"), "\(made)")
            #expect(made.superOptions.contains("mode=1700"), "\(made)")
            for option in ["nosuid", "nodev", "noexec"] {
                #expect(made.options.contains(option), "\(made)")
            }
            #expect(mounts.last { $0.target == "/tmp" }?.type == "tmpfs")
            kill(sandboxed.process, SIGKILL)
            try running.wait()
            let full = try shell(
                in: runner, rootfs, options: options,
                "dd if=/dev/zero of=/made/here/f bs=1k count=100")
            #expect(full.errors.contains("No space left"), "\(full)")
            #expect(access(rootfs + "/made", F_OK) != 0)
        }

        @Test("Masked files are empty and masked directories too; without stage 3 they are not")
        func masks() throws {
            let rootfs = try place().rootfs()
            let files = ["kcore", "keys", "timer_list", "interrupts", "sched_debug"]
            for file in files where access("/proc/" + file, F_OK) == 0 {
                let script = "head -c 20 /proc/\(file) | wc -c"
                #expect(try shell(in: .stage02, rootfs, script).line != "0", "\(file)")
                for runner in Runner.withMounts {
                    #expect(try shell(in: runner, rootfs, script).line == "0", "\(file)")
                }
            }
            let directories = ["/proc/acpi", "/proc/scsi", "/sys/firmware"]
            for directory in directories where access(directory, F_OK) == 0 {
                for runner in Runner.withMounts {
                    let got = try shell(
                        in: runner, rootfs, "ls -A \(directory); touch \(directory)/x")
                    #expect(got.output.isEmpty && got.code != 0, "\(got)")
                }
            }
        }

        @Test("Settings of the kernel may be read and not written", arguments: Runner.withMounts)
        func protectsSettings(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let (running, sandboxed) = try sleeping(runner, rootfs)
            let mounts = try sandboxed.mounts()
            for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
            where access(path, F_OK) == 0 {
                let mount = try #require(mounts.last { $0.target == path }, "\(path)")
                #expect(mount.options.contains("ro"), "\(mount)")
            }
            #expect(mounts.last { $0.target == "/sys" }?.options.contains("ro") == true)
            for option in ["nosuid", "nodev", "noexec"] {
                #expect(mounts.last { $0.target == "/proc" }?.options.contains(option) == true)
                #expect(mounts.last { $0.target == "/sys" }?.options.contains(option) == true)
            }
            try end(running, sandboxed)
            let got = try shell(in: runner, rootfs, "cat /proc/sys/kernel/ostype")
            #expect(got.line == "Linux", "\(got)")
        }

        @Test(
            "/dev holds the usual nodes and no device of the machine", arguments: Runner.withMounts)
        func hasUsualDevices(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let script = """
                cd /dev; ls; for n in null zero full random urandom tty; do
                    stat -c '%n %F %t:%T %a' $n
                done
                """
            let got = try shell(in: runner, rootfs, script)
            let expected = [
                "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr",
                "stdin", "stdout", "tty", "urandom", "zero",
                "null character special file 1:3 666", "zero character special file 1:5 666",
                "full character special file 1:7 666", "random character special file 1:8 666",
                "urandom character special file 1:9 666", "tty character special file 5:0 666",
            ]
            #expect(got.lines == expected, "\(got)")
            let works = try shell(
                in: runner, rootfs,
                """
                echo x > /dev/null && test $(head -c 9 /dev/zero | wc -c) = 9 &&
                test $(head -c 9 /dev/urandom | wc -c) = 9 && ! echo x > /dev/full &&
                echo out > /dev/stdout && echo err > /dev/stderr
                """)
            #expect(works.code == 0 && works.output == "out\n", "\(works)")
            #expect(works.errors.hasSuffix("err\n"), "\(works)")
        }

        @Test(
            "Terminals, shared memory and the rest of /dev are the sandbox's own instances",
            arguments: Runner.withMounts)
        func hasOwnInstances(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let terminal = try PseudoTerminal()
            let host = try #require(terminal.path.split(separator: "/").last)
            let word = "hull-" + Place.randomWord()
            let (running, sandboxed) = try sleeping(runner, rootfs)
            for path in ["/dev", "/dev/pts", "/dev/shm"] {
                var (inside, outside) = (stat(), stat())
                #expect(stat(sandboxed.path(path), &inside) == 0 && stat(path, &outside) == 0)
                #expect(inside.st_dev != outside.st_dev, "\(path) is the host's")
            }
            #expect(access(sandboxed.path("/dev/pts/\(host)"), F_OK) != 0)
            try end(running, sandboxed)
            let got = try shell(in: runner, rootfs, "echo x > /dev/shm/\(word)")
            #expect(got.code == 0 && access("/dev/shm/" + word, F_OK) != 0, "\(got)")
        }

        @Test("A message queue is the host's in stage 3 and the container's own in hull run")
        func hasQueues() throws {
            let rootfs = try place().rootfs()
            let queue = "/dev/mqueue/" + Place.randomWord()
            #expect(try shell(in: .stage03, rootfs, "touch \(queue)").code == 0)
            #expect(try shell(in: .hull, rootfs, "test -e \(queue)").code == 1)
            // Found by another sandbox, since the IPC namespace is the host's; taken away with it.
            #expect(try shell(in: .stage03, rootfs, "test -e \(queue) && rm \(queue)").code == 0)
            #expect(try shell(in: .hull, rootfs, "touch \(queue)").code == 0)
            #expect(try shell(in: .stage03, rootfs, "test -e \(queue)").code == 1)
        }

        private func sleeping(_ runner: Runner, _ rootfs: String) throws -> (Program, Observed) {
            let running = try Program(runner.command(rootfs: rootfs, ["sleep", "1000"]))
            return (running, try running.sandboxed(named: "sleep"))
        }

        private func end(_ running: Program, _ sandboxed: Observed) throws {
            kill(sandboxed.process, SIGKILL)
            #expect(try running.wait().code == 128 + SIGKILL)
        }
    }
}
