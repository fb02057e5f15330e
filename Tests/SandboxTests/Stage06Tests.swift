import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// Stage 6: a share of the machine and no more.
    @Suite("Stage 6, cgroups", .serialized) struct Stage06Tests {
        /// What has no cgroup of its own yet.
        private static let before = Runner.stage05

        @Test("It is in a cgroup of its own in each hierarchy, and that is the top of what it sees")
        func isInGroup() throws {
            let rootfs = try place().rootfs()
            let (running, sandboxed) = try sleeping(rootfs, [])
            let groups = try ObservedGroups(of: sandboxed.process)
            let mounts = HostControlGroups.v1 + (HostControlGroups.v2.map { [$0] } ?? [])
            // A cpuset of version 1 is made where one is asked for, a v1 hierarchy of another
            // kind never.
            let known = ["cpu", "cpuacct", "memory", "devices", "freezer", "blkio", "pids"]
            for mount in mounts
            where mount.type == "cgroup2" || mount.superOptions.contains(where: known.contains) {
                #expect(
                    groups.own.contains { $0.hasPrefix(mount.target + "/hull-") }, "\(mount)")
            }
            #expect(try sandboxed.namespace("cgroup") != Observed.host.namespace("cgroup"))
            try end(running, sandboxed)
            for path in groups.own { #expect(access(path, F_OK) != 0, "\(path)") }
            let seen = try shell(in: .stage06, rootfs, "cat /proc/self/cgroup")
            #expect(!seen.output.contains("hull"), "\(seen)")
        }

        @Test("Each option is a value in a file")
        func setsLimits() throws {
            let rootfs = try place().rootfs()
            let memory = Int.random(in: 32..<64) << 20
            let pids = Int.random(in: 20..<1000)
            let quota = Int.random(in: 10..<90)
            let (running, sandboxed) = try sleeping(
                rootfs,
                [
                    "--memory", "\(memory)", "--memory-swap", "\(memory + (8 << 20))",
                    "--memory-reservation", "\(memory / 2)", "--pids-limit", "\(pids)", "--cpus",
                    "0.\(quota)", "--cpu-shares", "2048", "--cpuset-cpus", "0",
                ])
            let groups = try ObservedGroups(of: sandboxed.process)
            let wanted = [
                ("memory.limit_in_bytes", "memory.max", "\(memory)", "\(memory)"),
                (
                    "memory.memsw.limit_in_bytes", "memory.swap.max", "\(memory + (8 << 20))",
                    "\(8 << 20)"
                ),
                ("memory.soft_limit_in_bytes", "memory.low", "\(memory / 2)", "\(memory / 2)"),
                ("pids.max", "pids.max", "\(pids)", "\(pids)"),
                ("cpu.cfs_quota_us", "cpu.max", "\(quota * 1000)", "\(quota * 1000) 100000"),
                ("cpu.shares", "cpu.weight", "2048", "200"),
                ("cpuset.cpus", "cpuset.cpus", "0", "0"),
            ]
            for (v1, v2, old, new) in wanted {
                let page = 4095
                let got = try #require(groups.value(v1, v2), "\(v1): \(groups)")
                // The kernel counts memory in pages.
                let rounded = [old, new].map { Int($0).map { "\($0 & ~page)" } ?? $0 }
                #expect([old, new].contains(got) || rounded.contains(got), "\(v1) \(got)")
            }
            try end(running, sandboxed)
        }

        // MARK: The attacks

        @Test("A fork bomb goes off before stage 6, and not against --pids-limit")
        func limitsProcesses() throws {
            let rootfs = try place().rootfs()
            let out = try attack(in: Self.before, rootfs, "fork-bomb", "60")
            #expect(out.gotThrough, "\(out)")
            let held = try attack(
                in: .stage06, rootfs, options: ["--pids-limit", "30"], "fork-bomb", "60")
            #expect(held.isStopped && held.description.contains("EAGAIN"), "\(held)")
            let roomy = try attack(
                in: .stage06, rootfs, options: ["--pids-limit", "100"], "fork-bomb", "60")
            #expect(roomy.gotThrough, "\(roomy)")
        }

        @Test("A memory hog gets all it wants before stage 6, and is killed at --memory")
        func limitsMemory() throws {
            let rootfs = try place().rootfs()
            let out = try attack(in: Self.before, rootfs, "memory-hog", "80")
            #expect(out.gotThrough, "\(out)")
            let held = try attack(
                in: .stage06, rootfs, options: ["--memory", "40m", "--memory-swap", "40m"],
                "memory-hog", "80")
            #expect(held.isStopped, "\(held)")
            let words = held.description.split(separator: " ")
            let taken = words.compactMap { Int($0) }.first ?? 0
            #expect((20...40).contains(taken), "\(held)")
        }

        @Test("Who is killed for lack of memory is told so: exit code 137 and a sentence")
        func tellsOutOfMemory() throws {
            let rootfs = try place().rootfs()
            for runner in [Runner.stage06, .hull] {
                let options = ["--memory", "24m", "--memory-swap", "24m"]
                let got = try run(runner.command(options, rootfs: rootfs, ["tail", "/dev/zero"]))
                #expect(got.code == 137, "\(got)")
                #expect(
                    got.errors
                        == "1 process was killed for lack of memory: the limit is 24 MiB (--memory).\n"
                )
                let fine = try run(runner.command(options, rootfs: rootfs, ["true"]))
                #expect(fine.code == 0 && fine.errors.isEmpty, "\(fine)")
                // Killed, but not for that.
                let other = try shell(
                    in: runner, rootfs, options: options + ["--init"], "kill -9 $$")
                #expect(other.code == 137 && other.errors.isEmpty, "\(other)")
            }
        }

        @Test("A CPU hog takes more than its part before stage 6, and not with --cpus")
        func limitsCPU() throws {
            let rootfs = try place().rootfs()
            // Other programs are busy too: it may get less than a whole CPU, seldom this little.
            var out = try attack(in: Self.before, rootfs, "cpu-hog", "1000", "25")
            for _ in 0..<5 where !out.gotThrough {
                out = try attack(in: Self.before, rootfs, "cpu-hog", "1000", "25")
            }
            #expect(out.gotThrough, "\(out)")
            let held = try attack(
                in: .stage06, rootfs, options: ["--cpus", "0.1"], "cpu-hog", "1000", "25")
            #expect(held.isStopped, "\(held)")
        }

        @Test("The time on the CPU, counted from outside, stays within --cpus")
        func measuresCPU() throws {
            let rootfs = try place().rootfs()
            let running = try Program(
                Runner.stage06.command(
                    ["--cpus", "0.2"], rootfs: rootfs, ["sh", "-c", "while :; do :; done"]))
            let sandboxed = try running.sandboxed(named: "sh")
            let groups = try ObservedGroups(of: sandboxed.process)
            let statistics = { (key: String) in groups.value("cpu.stat", "cpu.stat", key: key) ?? 0
            }
            let time = {
                groups.value("cpuacct.usage", "none").flatMap { Int($0) }.map { $0 / 1000 }
                    ?? groups.value("none", "cpu.stat", key: "usage_usec") ?? 0
            }
            try waitUntil("the CPU to be held back", 20) { statistics("nr_throttled") > 2 }
            let (periods, used) = (statistics("nr_periods"), time())
            try waitUntil("ten periods", 20) { statistics("nr_periods") >= periods + 10 }
            // A fifth of each period, and of one more that may have begun; some slack for slices.
            let spent = time() - used
            let passed = statistics("nr_periods") - periods + 1
            #expect(spent <= passed * 20_000 * 3 / 2, "\(spent) µs in \(passed) periods")
            #expect(spent > 0)
            try end(running, sandboxed)
        }

        @Test("A disk is written at full speed before stage 6, and not faster than --io-max")
        func limitsTransfers() throws {
            guard let disk = try loopDisk(), kernelHas("limits on disks", { Self.throttles }) else {
                return
            }
            let rootfs = try place().rootfs()
            let words = ["disk-hog", disk.path, "3", "4"]
            let node = "mknod -m 600 \(disk.path) b \(disk.numbers.replacing(":", with: " "))"
            let script = node + "; exec hull-probe " + words.joined(separator: " ")
            var out = try Verdict(shell(in: Self.before, rootfs, script))
            for _ in 0..<3 where !out.gotThrough {
                out = try Verdict(shell(in: Self.before, rootfs, script))
            }
            #expect(out.gotThrough, "\(out)")
            let held = try Verdict(
                run(
                    Runner.stage06.command(
                        ["--device", disk.path, "--io-max", disk.path + ":wbps=1m"], rootfs: rootfs,
                        ["hull-probe"] + words)))
            #expect(held.isStopped, "\(held)")
        }

        private static var throttles: Bool {
            HostControlGroups.has("blkio") || HostControlGroups.has("io")
        }

        private func loopDisk() throws -> LoopDisk? {
            let disk = try LoopDisk(8)
            _ = kernelHas("loop devices") { disk != nil }
            return disk
        }

        @Test("A disk's node that the sandbox makes opens before stage 6, and not from there on")
        func limitsDevices() throws {
            guard let disk = try loopDisk() else { return }
            let rootfs = try place().rootfs()
            let out = try attack(in: Self.before, rootfs, "host-device", disk.numbers)
            #expect(out.gotThrough, "\(out)")
            let held = try attack(in: .stage06, rootfs, "host-device", disk.numbers)
            #expect(held.isStopped && held.description.contains("EPERM"), "\(held)")
            let handed = try attack(
                in: .stage06, rootfs, options: ["--device", disk.path], "host-device", disk.numbers)
            #expect(handed.gotThrough, "\(handed)")
        }

        @Test("The rules on devices are the same as a program of version 2")
        func limitsDevicesByProgram() throws {
            guard kernelHas("version 2 of cgroups", { HostControlGroups.v2 != nil }),
                let disk = try loopDisk()
            else { return }
            let rootfs = try place().rootfs()
            let hidden = HostControlGroups.v1.filter { $0.superOptions.contains("devices") }
            for (option, read, write) in [
                ([], false, false), ([":r"], true, false), ([":w"], false, true),
                ([""], true, true),
            ] {
                let options = option.flatMap { ["--device", disk.path + ":/dev/disk" + $0] }
                let script = """
                    test -e /dev/disk || mknod /dev/disk b \(disk.numbers.replacing(":", with: " "))
                    head -c 1 /dev/disk > /dev/null && echo read; true 9> /dev/disk && echo write
                    head -c 1 /dev/zero | wc -c; head -c 1 /dev/urandom | wc -c; mknod /x c 1 1
                    head -c 1 /x || echo refused
                    """
                let got = try run(
                    HostControlGroups.without(
                        hidden,
                        Runner.stage06.command(options, rootfs: rootfs, ["sh", "-c", script])))
                #expect(got.lines.contains("read") == read, "\(options) \(got)")
                #expect(got.lines.contains("write") == write, "\(options) \(got)")
                #expect(got.lines.suffix(3) == ["1", "1", "refused"], "\(got)")
            }
        }

        @Test("The host's topmost cgroup is within reach before stage 6, and not from there on")
        func hidesHierarchies() throws {
            let rootfs = try place().rootfs()
            for probe in ["release-agent", "leave-cgroup"] {
                if probe == "release-agent",
                    !kernelHas("version 1 of cgroups", { !HostControlGroups.v1.isEmpty })
                {
                    continue
                }
                let out = try attack(in: Self.before, rootfs, probe)
                #expect(out.gotThrough, "\(out)")
                let held = try attack(in: .stage06, rootfs, probe)
                #expect(held.isStopped, "\(held)")
            }
        }

        // MARK: Inside

        @Test("The limits can be read in /sys/fs/cgroup, and not be written")
        func showsLimits() throws {
            let rootfs = try place().rootfs()
            let pids = Int.random(in: 20..<1000)
            let script = """
                cd /sys/fs/cgroup; cat pids/pids.max pids.max 2> /dev/null
                for file in pids/pids.max pids.max; do
                  test ! -e $file || { echo 5000 > $file; } 2>&1 | grep -o 'Read-only file system'
                done
                mkdir /sys/fs/cgroup/x pids/x 2>&1 | grep -c 'Read-only\\|No such'
                """
            for runner in [Runner.stage06, .hull] {
                let got = try shell(
                    in: runner, rootfs, options: ["--pids-limit", "\(pids)"], script)
                #expect(got.lines == ["\(pids)", "Read-only file system", "2"], "\(got)")
            }
        }

        // MARK: Hosts

        @Test("With either version alone it works too, and what is missing is said")
        func worksWithEither() throws {
            guard kernelHas("both versions of cgroups", { HostControlGroups.isHybrid }),
                let v2 = HostControlGroups.v2
            else { return }
            let rootfs = try place().rootfs()
            let stage = { (options: [String], script: String) in
                Runner.stage06.command(options, rootfs: rootfs, ["sh", "-c", script])
            }
            let old = try run(
                HostControlGroups.without(
                    [v2],
                    stage(
                        ["--pids-limit", "33"],
                        "cat /sys/fs/cgroup/pids/pids.max; ls -d /sys/fs/cgroup/unified")))
            #expect(old.lines == ["33"], "\(old)")
            let new = try run(
                HostControlGroups.without(
                    HostControlGroups.v1, stage([], "mount | grep -c ' type cgroup'")))
            #expect(new.lines == ["1"], "\(new)")
            let missing = try run(
                HostControlGroups.without(
                    HostControlGroups.v1, stage(["--pids-limit", "33"], "true")))
            expectOneLine(missing, code: 125, naming: "--pids-limit", "EOPNOTSUPP")
            let none = try run(
                HostControlGroups.without(
                    HostControlGroups.v1 + [v2], stage(["--memory", "33m"], "true")))
            expectOneLine(none, code: 125, naming: "--memory", "EOPNOTSUPP")
            let bare = try run(
                HostControlGroups.without(HostControlGroups.v1 + [v2], stage([], "echo runs")))
            #expect(bare.line == "runs" && bare.code == 0, "\(bare)")
        }

        @Test("With --cgroup-parent it is below that one, and is swept from there too")
        func usesParent() throws {
            let rootfs = try place().rootfs()
            let mounts = HostControlGroups.v1 + (HostControlGroups.v2.map { [$0] } ?? [])
            let parent = "hull-test-" + Place.randomWord()
            for mount in mounts { mkdir(mount.target + "/" + parent, 0o755) }
            defer { for mount in mounts { rmdir(mount.target + "/" + parent) } }
            let (running, sandboxed) = try sleeping(rootfs, ["--cgroup-parent", parent])
            let groups = try ObservedGroups(of: sandboxed.process)
            #expect(groups.own.allSatisfy { $0.contains("/\(parent)/hull-") }, "\(groups)")
            #expect(!groups.own.isEmpty)
            running.signal(SIGKILL)
            _ = try running.wait()
            #expect(groups.own.contains { access($0, F_OK) == 0 })
            try run(Runner.stage06.command(rootfs: rootfs, ["true"]))
            for path in groups.own { #expect(access(path, F_OK) != 0, "\(path)") }
            let outside = try run(
                Runner.stage06.command(["--cgroup-parent", "../x"], rootfs: rootfs, ["true"]))
            expectOneLine(outside, code: 125, naming: "../x", "ENOENT")
        }

        @Test("An ordinary user keeps limits where cgroups are delegated, and is told where not")
        func isDelegated() throws {
            var user = try TestUser()
            let rootfs = try user.rootfs()
            let stage = { (script: String) in
                Runner.stage06.command(
                    ["--pids-limit", "33", "--network", "none"], rootfs: rootfs,
                    ["sh", "-c", script])
            }
            let refused = try user.run(stage("true"))
            expectOneLine(refused, code: 125, naming: "--pids-limit", "EOPNOTSUPP")
            #expect(refused.errors.contains("Delegate=yes"), "\(refused)")

            let name = "hull-test-" + Place.randomWord()
            let mounts = HostControlGroups.v1 + (HostControlGroups.v2.map { [$0] } ?? [])
            let wanted = mounts.filter { mount in
                mount.type == "cgroup2" || mount.superOptions.contains("pids")
            }
            // What a service manager does. In version 2 only a cgroup without processes of its
            // own hands controllers down, so the user's processes are one further down.
            for mount in wanted {
                let path = "\(mount.target)/\(name)"
                user.preparation += """
                    test ! -e \(mount.target)/pids.max || echo +pids > \(mount.target)/cgroup.subtree_control
                    mkdir -p \(path)/shell
                    echo $$ > \(path)/shell/cgroup.procs
                    chown \(user.id) \(path) \(path)/cgroup.* \(path)/shell \(path)/shell/cgroup.*

                    """
            }
            defer {
                for mount in wanted {
                    rmdir("\(mount.target)/\(name)/shell")
                    rmdir("\(mount.target)/\(name)")
                }
            }
            let running = try user.start(
                stage("cat /sys/fs/cgroup/pids/pids.max || cat /sys/fs/cgroup/pids.max; sleep 1000")
            )
            let sandboxed = try running.sandboxed(named: "sleep")
            try running.waitForOutput("33")
            let groups = try ObservedGroups(of: sandboxed.process)
            #expect(groups.value("pids.max", "pids.max") == "33", "\(groups)")
            #expect(groups.own.allSatisfy { $0.contains("/\(name)/hull-") }, "\(groups)")
            kill(sandboxed.process, SIGKILL)
            _ = try running.wait()
            for path in groups.own { #expect(access(path, F_OK) != 0, "\(path)") }
        }

        // MARK: What is left

        @Test("Whenever its owner is killed, the next command finds a clean host or cleans it")
        func sweeps() throws {
            let rootfs = try place().rootfs()
            for round in 0..<12 {
                let running = try Program(
                    Runner.stage06.command(
                        ["--memory", "64m"], rootfs: rootfs, ["sleep", "1000"]))
                usleep(UInt32.random(in: 0..<30_000))
                running.signal(SIGKILL)
                _ = try running.wait()
                let next = try run(Runner.stage06.command(rootfs: rootfs, ["true"]))
                #expect(next.code == 0, "\(round) \(next)")
                try waitUntil("no process of the killed sandbox") {
                    Host.processes(rootedIn: rootfs).isEmpty
                }
                try expectNoAbandonedGroups()
            }
        }

        @Test("Many start and end at once without getting into each other's way")
        func runsInParallel() throws {
            let rootfs = try place().rootfs()
            let all = try (0..<16).map { _ in
                try Program(
                    Runner.stage06.command(
                        ["--memory", "64m", "--pids-limit", "20"], rootfs: rootfs, ["true"]))
            }
            for one in all {
                let got = try one.wait()
                #expect(got.code == 0, "\(got)")
            }
            try expectNoAbandonedGroups()
        }

        private func sleeping(
            _ rootfs: String, _ options: [String]
        ) throws -> (Program, Observed) {
            let running = try Program(
                Runner.stage06.command(options, rootfs: rootfs, ["sleep", "1000"]))
            return (running, try running.sandboxed(named: "sleep"))
        }

        private func end(_ running: Program, _ sandboxed: Observed) throws {
            kill(sandboxed.process, SIGKILL)
            #expect(try running.wait().code == 128 + SIGKILL)
        }
    }
}
