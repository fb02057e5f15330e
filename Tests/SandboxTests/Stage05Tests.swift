import CLinux
import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// Stage 5: names, ids and clocks of its own.
    @Suite("Stage 5, identity") struct Stage05Tests {
        @Test("The namespaces are new that it is about, and the others only where asked for")
        func makesNamespaces() throws {
            let base = uid_t.random(in: 100_000..<1_000_000)
            let cases: [([String], [String])] = [
                ([], ["uts", "ipc", "net"]), (["--ipc", "host"], ["uts", "net"]),
                (["--uts", "host"], ["ipc", "net"]), (["--network", "host"], ["uts", "ipc"]),
                (["--time-offset", "boottime=1000"], ["uts", "ipc", "net", "time"]),
                (["--uid-map", "0:\(base):1000"], ["uts", "ipc", "net", "user"]),
            ]
            for (options, new) in cases {
                try sleeping(options) { sandboxed in
                    for kind in ["uts", "ipc", "user", "time", "net"] {
                        let isNew = try sandboxed.namespace(kind) != Observed.host.namespace(kind)
                        #expect(isNew == new.contains(kind), "\(kind) with \(options)")
                    }
                }
            }
        }

        @Test("The host can be renamed from stage 3 and not from stage 5")
        func hasName() throws {
            #expect(try seesName(from: .stage03))
            #expect(try !seesName(from: .stage05))
        }

        /// Looks from outside while the probe holds the name.
        private func seesName(from runner: Runner) throws -> Bool {
            let name = Place.randomWord()
            let own = try run(["hostname"]).line
            let probe = ["hull-probe", "set-hostname", name, "1000"]
            let running = try Program(
                runner.command(["--init"], rootfs: place().rootfs(), probe))
            let sandboxed = try running.sandboxed(named: "hull-probe")
            defer { sethostname(own, own.utf8.count) }
            try waitUntil("the new name") {
                try run(["nsenter", "-t", "\(sandboxed.process)", "-u", "hostname"]).line == name
            }
            let seen = try run(["hostname"]).line == name
            kill(sandboxed.process, SIGKILL)
            _ = try running.wait()
            return seen
        }

        @Test("Shared memory and message queues of the host are open to stage 3, not to stage 5")
        func hasMemory() throws {
            let key = key_t.random(in: 1...Int32.max)
            let word = Place.randomWord()
            let segment = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0o600)
            defer { shmctl(segment, IPC_RMID, nil) }
            let memory = try #require(shmat(segment, nil, 0))
            _ = word.withCString { strcpy(memory.assumingMemoryBound(to: CChar.self), $0) }
            shmdt(memory)
            let queue = Place.randomWord()
            close(open_message_queue(queue, O_RDWR | O_CREAT, 0o600))
            defer { remove_message_queue(queue) }
            let rootfs = try place().rootfs()
            for words in [["shared-memory", "\(key)", word], ["message-queue", queue]] {
                let probe = ["hull-probe"] + words
                for (runner, options, leaks) in [
                    (Runner.stage03, [], true), (.stage05, [], false),
                    (.stage05, ["--ipc", "host"], true),
                ] {
                    let verdict = try Verdict(
                        run(runner.command(options, rootfs: rootfs, probe)))
                    #expect(verdict.gotThrough == leaks, "\(runner) \(options): \(verdict)")
                }
            }
        }

        @Test("Root inside reads root's files without a map, and is an ordinary user with one")
        func isNotRoot() throws {
            let base = uid_t.random(in: 100_000..<1_000_000)
            let word = Place.randomWord()
            let shared = try place().makeDirectory("shared")
            chmod(shared, 0o777)
            try place().write(word, to: "shared/secret", mode: 0o600)
            let rootfs = try place().rootfs()
            for (options, isRoot) in [([], true), (["--uid-map", "0:\(base):65536"], false)] {
                let all = options + ["-v", shared + ":/shared"]
                let read = try attack(
                    in: .stage05, rootfs, options: all, "root-file", "/shared/secret", word)
                #expect(read.gotThrough == isRoot, "\(read)")
                let file = Place.randomWord()
                _ = try attack(
                    in: .stage05, rootfs, options: all, "plant-setuid", "/shared/" + file)
                var status = stat()
                #expect(lstat(shared + "/" + file, &status) == 0)
                #expect(status.st_uid == (isRoot ? 0 : base))
                #expect(status.st_mode & S_ISUID != 0)
            }
        }

        @Test("A mapped process has the mapped ids, and capabilities in its own namespace only")
        func isMapped() throws {
            let base = uid_t.random(in: 100_000..<1_000_000)
            let groups = gid_t.random(in: 100_000..<1_000_000)
            try sleeping(["--uid-map", "0:\(base):1000", "--gid-map", "0:\(groups):1000"]) { one in
                #expect(try one.status("Uid") == .init(repeating: "\(base)", count: 4))
                #expect(try one.status("Gid") == .init(repeating: "\(groups)", count: 4))
                let map = try Observed.read("/proc/\(one.process)/uid_map")
                #expect(
                    map.split(separator: " ").map { $0.trimmingCharacters(in: .newlines) }
                        == ["0", "\(base)", "1000"])
            }
        }

        @Test("A rootfs of root's looks right inside, and nothing on the disk changes its owner")
        func mapsOwners() throws {
            let base = uid_t.random(in: 100_000..<1_000_000)
            let rootfs = try place().rootfs()
            chown(rootfs + "/etc/group", 33, 44)
            let before = try fingerprint(of: rootfs)
            let keep = try place().makeDirectory("keep")
            let script = """
                stat -c %u:%g /bin/busybox /etc/group / && echo x >> /etc/passwd && touch /new
                chown 5:6 /new && stat -c %u:%g /etc/passwd /new
                """
            let got = try shell(
                in: .stage05, rootfs, options: ["--uid-map", "0:\(base):65536", "--keep", keep],
                script)
            #expect(got.lines == ["0:0", "33:44", "0:0", "0:0", "5:6"], "\(got)")
            #expect(try fingerprint(of: rootfs) == before)
            #expect(try TestUser.owner(of: keep + "/upper/etc/passwd") == 0)
            #expect(try TestUser.owner(of: keep + "/upper/new") == 5)
        }

        @Test("Mounts over mapped files do not spread to a host whose mounts are shared")
        func isPrivate() throws {
            let rootfs = try place().rootfs()
            let stage = Runner.stage05.command(
                ["--uid-map", "0:100000:1000"], rootfs: rootfs, ["sleep", "1000"])
            let running = try Program(["unshare", "-m", "--propagation", "shared"] + stage)
            let sandboxed = try running.sandboxed(named: "sleep")
            let owner = try Observed(process: running.process).mounts()
            let count = try Mount.list(of: "self").count
            #expect(owner.count == count, "the sandbox's mounts have spread: \(owner)")
            kill(sandboxed.process, SIGKILL)
            _ = try running.wait()
        }

        @Test("The caller's groups stay in stage 3 and are left in stage 5")
        func leavesGroups() throws {
            let group = gid_t.random(in: 100_000..<1_000_000)
            let base = uid_t.random(in: 100_000..<1_000_000)
            let rootfs = try place().rootfs()
            let setpriv = ["setpriv", "--groups", "\(group)"]
            for (runner, options, groups) in [
                (Runner.stage03, [], ["\(group)"]), (.stage05, [], []),
                (.stage05, ["--uid-map", "0:\(base):1000"], []), (.hull, [], []),
            ] {
                let running = try Program(
                    setpriv + runner.command(options, rootfs: rootfs, ["sleep", "1000"]))
                let sandboxed = try running.sandboxed(named: "sleep")
                #expect(try sandboxed.status("Groups") == groups, "\(runner) \(options)")
                kill(sandboxed.process, SIGKILL)
                _ = try running.wait()
            }
        }

        @Test("The host's uptime shows in stage 3, and not with clocks of its own")
        func hasClocks() throws {
            var now = timespec()
            clock_gettime(CLOCK_BOOTTIME, &now)
            let rootfs = try place().rootfs()
            let probe = ["host-clock", "\(now.tv_sec)"]
            let open = try Verdict(
                run(Runner.stage03.command(rootfs: rootfs, ["hull-probe"] + probe)))
            #expect(open.gotThrough, "\(open)")
            let offset = Int.random(in: 10_000...1_000_000)
            for more in [[], ["--uid-map", "0:100000:1000"]] {
                let options = ["--time-offset", "boottime=\(offset),monotonic=5"] + more
                let closed = try Verdict(
                    run(Runner.stage05.command(options, rootfs: rootfs, ["hull-probe"] + probe)))
                #expect(closed.isStopped, "\(closed)")
                let uptime = try shell(
                    in: .stage05, rootfs, options: options, "cut -d . -f 1 /proc/uptime")
                let difference = (Int(uptime.line) ?? 0) - now.tv_sec
                #expect((offset..<offset + 60).contains(difference), "\(uptime)")
            }
        }

        @Test("Maps are chosen from /etc/subuid, and a missing range is named")
        func choosesMaps() throws {
            let rootfs = try place().rootfs()
            let first = uid_t.random(in: 100_000..<1_000_000)
            for (lines, expected) in [
                ("somebody:1:2\nroot:\(first):4000\n", "0 \(first) 4000"), ("", ""),
            ] {
                let files = try place().makeDirectory("etc-" + Place.randomWord())
                for name in ["subuid", "subgid"] {
                    try place().write(lines, to: files + "/" + name)
                }
                let script = "mount -t overlay -o lowerdir=\(files):/etc overlay /etc; exec \"$@\""
                let got = try run(
                    ["unshare", "-m", "--propagation", "private", "sh", "-ec", script, "sh"]
                        + Runner.stage05.command(
                            ["--userns", "auto"], rootfs: rootfs, ["cat", "/proc/self/uid_map"]))
                if lines.isEmpty {
                    expectOneLine(got, code: 125, naming: "/etc/subuid", "ENOENT")
                } else {
                    let words = got.line.split(separator: " ").joined(separator: " ")
                    #expect(words == expected, "\(got)")
                }
            }
        }

        @Test("A killed owner takes a sandbox with other ids along")
        func diesWithOwner() throws {
            let rootfs = try place().rootfs()
            let command = Runner.stage05.command(
                ["--uid-map", "0:100000:1000"], rootfs: rootfs, ["sleep", "1000"])
            let running = try Program(command)
            let sandboxed = try running.sandboxed(named: "sleep")
            kill(running.process, SIGKILL)
            _ = try running.wait()
            try waitUntil("the sandbox's end") { !sandboxed.isAlive }
            #expect(try run(Runner.stage05.command(rootfs: rootfs, ["true"])).code == 0)
            #expect(try remains(in: place().state).isEmpty)
        }

        @Test("A mapped sandbox has its devices, its terminal and its masks")
        func isComplete() throws {
            let rootfs = try place().rootfs()
            let script = """
                echo x > /dev/null && head -c 1 /dev/zero | wc -c && ls /sys > /dev/null
                (echo x > /proc/sys/kernel/domainname) 2> /dev/null || test -c /dev/ptmx && ls /dev/pts
                cat /proc/keys; mount -t tmpfs x /tmp && echo mounted
                """
            let got = try shell(
                in: .stage05, rootfs, options: ["--uid-map", "0:100000:65536"], script)
            #expect(got.lines == ["1", "ptmx", "mounted"], "\(got)")
        }

        @Test(
            "What is no identity is refused in one line",
            arguments: [
                ["--uid-map", "x"], ["--uid-map", ""], ["--uid-map", "0:0:0"],
                ["--uid-map", "1:100000:5"], ["--uid-map", "0:4294967295:1"],
                ["--uid-map", "0:100000:4294967296"], ["--uid-map", "-1:5:5"],
                ["--uid-map", "0:5:10", "--uid-map", "9:100:1"],
                ["--uid-map", "0:5:10", "--uid-map", "100:14:1"],
                ["--uid-map", "0:5:10", "--gid-map", "5:5:5"], ["--gid-map", "0:5:10"],
                ["--userns", "maybe"], ["--userns", ""], ["--ipc", "all"], ["--uts", ""],
                ["--hostname", ""], ["--uts", "host", "--hostname", "x"],
                ["--time-offset", ""], ["--time-offset", "boottime"],
                ["--time-offset", "realtime=5"], ["--time-offset", "boottime=1h"],
            ])
        func refuses(_ options: [String]) throws {
            let rootfs = try place().rootfs()
            for runner in [Runner.stage05, .hull] {
                let got = try run(runner.command(options, rootfs: rootfs, ["true"]))
                expectOneLine(got, code: 125, naming: "", "EINVAL")
                #expect(try remains(in: place().state).isEmpty)
            }
        }

        @Test("Clocks that the kernel cannot set are refused in one line")
        func refusesClocks() throws {
            let rootfs = try place().rootfs()
            for offset in ["boottime=-999999999", "monotonic=99999999999999"] {
                let got = try run(
                    Runner.stage05.command(
                        ["--time-offset", offset], rootfs: rootfs, ["true"]))
                expectOneLine(got, code: 125, naming: "timens_offsets", "ERANGE")
            }
            #expect(try remains(in: place().state).isEmpty)
        }

        @Test("A file system that cannot show other owners is named")
        func needsMappableFiles() throws {
            let rootfs = try place().rootfs()
            let merged = try place().makeDirectory("merged")
            let script = """
                mount -t overlay -o lowerdir=\(rootfs):\(merged) overlay \(merged); exec "$@"
                """
            let got = try run(
                ["unshare", "-m", "--propagation", "private", "sh", "-ec", script, "sh"]
                    + Runner.stage05.command(
                        ["--uid-map", "0:100000:1000"], rootfs: merged, ["true"]))
            expectOneLine(got, code: 125, naming: merged, "EINVAL")
            #expect(try remains(in: place().state).isEmpty)
        }

        private func sleeping(
            _ options: [String], _ look: (Observed) throws -> Void
        ) throws {
            let rootfs = try place().rootfs()
            let running = try Program(
                Runner.stage05.command(options, rootfs: rootfs, ["sleep", "1000"]))
            let sandboxed = try running.sandboxed(named: "sleep")
            try look(sandboxed)
            kill(sandboxed.process, SIGKILL)
            #expect(try running.wait().code == 128 + SIGKILL)
        }
    }
}
