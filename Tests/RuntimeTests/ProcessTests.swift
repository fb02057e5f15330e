import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// `process` of the configuration, as /proc/PID shows it.
    @Suite("Process") struct ProcessTests {
        @Test("User, groups and umask are those of the configuration")
        func hasUser() throws {
            let (user, group) = (Int.random(in: 1000..<60000), Int.random(in: 1000..<60000))
            let more = [Int.random(in: 60000..<61000), Int.random(in: 61000..<62000)]
            let container = try Container {
                $0[at: "process/user"] = [
                    "uid": .integer(user), "gid": .integer(group), "umask": 0o137,
                    "additionalGids": .array(more.map(JSON.integer)),
                ]
            }
            try container.running { (process) throws in
                #expect(try process.status("Uid") == Array(repeating: "\(user)", count: 4))
                #expect(try process.status("Gid") == Array(repeating: "\(group)", count: 4))
                #expect(try process.status("Groups") == more.map(String.init))
                #expect(try process.status("Umask") == ["0137"])
                // Without root and without ambient capabilities, none are left.
                #expect(try process.status("CapEff") == ["0000000000000000"])
            }
        }

        @Test("The umask is 0022 where none is given, whatever the caller's is")
        func hasUmask() throws {
            let container = try Container()
            try container.save()
            let command = try Runtime.command(
                ["run", "--detach", "--bundle", container.bundle, container.id])
            try run(["sh", "-c", "umask 077; exec \"$@\" >/dev/null 2>&1", "sh"] + command)
            #expect(try container.process().status("Umask") == ["0022"])
            try container.delete()
        }

        @Test("Arguments and environment arrive as they are, and nothing of the caller's does")
        func hasWords() throws {
            let words = ["", "two words", "$HOME", "ü\n", Place.randomWord()]
            let value = Place.randomWord()
            let container = try Container {
                $0[at: "process/args"] = .strings(
                    ["sh", "-c", "printf '<%s>' \"$@\"; echo; env", "sh"] + words)
                $0[at: "process/env"] = .strings(["PATH=/bin", "WORD=\(value)", "EMPTY="])
            }
            let outcome = try container.run(environment: ["SECRET": "of-the-host"])
            #expect(outcome.output.hasPrefix(words.map { "<\($0)>" }.joined() + "\n"))
            #expect(outcome.output.contains("WORD=\(value)\n"), "\(outcome)")
            #expect(outcome.output.contains("EMPTY=\n"), "\(outcome)")
            #expect(!outcome.output.contains("SECRET"), "\(outcome)")
        }

        @Test("The program is looked up in the PATH of the configuration")
        func searchesPath() throws {
            let name = Place.randomWord()
            let container = try Container {
                $0[at: "process/args"] = .strings([name])
                $0[at: "process/env"] = ["PATH=/nosuch:/opt/own:/bin"]
            }
            try place().write(
                "#!/bin/sh\necho found\n", to: container.rootfs + "/opt/own/" + name, mode: 0o755)
            #expect(try container.output() == "found")
        }

        @Test("HOME is the user's, from the image's /etc/passwd, unless the configuration has one")
        func hasHome() throws {
            let home = "/" + Place.randomWord()
            let container = try Container(shell: "echo $HOME")
            try place().write(
                "root:x:0:0:root:\(home):/bin/sh\n", to: container.rootfs + "/etc/passwd")
            #expect(try container.output() == home)
            container.config[at: "process/env"] = ["PATH=/bin", "HOME=/own"]
            #expect(try container.output() == "/own")
        }

        @Test("A variable is there once, as it was set last; an empty HOME is none")
        func hasEachVariableOnce() throws {
            let container = try Container(shell: "env") {
                $0[at: "process/env"] = [
                    "PATH=/bin", "A=1", "HOME=/own", "A=2", "HOME=", "A=",
                ]
            }
            guard Runtime.has(.cleanEnvironment) else { return }
            try place().write(
                "root:x:0:0:root:/there:/bin/sh\n", to: container.rootfs + "/etc/passwd")
            let lines = try container.run().output.split(separator: "\n")
            #expect(lines.filter { $0.hasPrefix("A=") } == ["A="], "\(lines)")
            #expect(lines.filter { $0.hasPrefix("HOME=") } == ["HOME=/there"], "\(lines)")
        }

        @Test("The working directory is entered, and made where there is none")
        func hasDirectory() throws {
            let name = "/" + Place.randomWord() + "/deep"
            let container = try Container(shell: "pwd") { $0[at: "process/cwd"] = .string(name) }
            #expect(try container.output() == name)
            // One that only its owner may enter.
            let own = try Container(shell: "pwd") {
                $0[at: "process/cwd"] = "/own"
                $0[at: "process/user"] = ["uid": 1234, "gid": 1234]
            }
            mkdir(own.rootfs + "/own", 0o700)
            chown(own.rootfs + "/own", 1234, 1234)
            #expect(try own.output() == "/own")
        }

        @Test("The working directory is made in a root that is read-only then")
        func makesDirectoryBefore() throws {
            let container = try Container(shell: "pwd; touch file 2>/dev/null; echo $?") {
                $0[at: "process/cwd"] = "/made/for/it"
                $0[at: "root/readonly"] = true
            }
            #expect(try container.output() == "/made/for/it\n1")
        }

        @Test("Who is not root can open its own standard output by name")
        func ownsStreams() throws {
            let container = try Container(shell: "echo by-name >/dev/stdout; exec sleep 1000") {
                $0[at: "process/user"] = ["uid": 1234, "gid": 1234]
            }
            // A file, as an engine's log; and a pipe.
            try container.running { (_) throws in
                try waitUntil("a word") { container.log == "by-name\n" }
                let outcome = try container.exec([], "sh", "-c", "echo by-exec >/dev/stdout")
                #expect(outcome.output == "by-exec\n", "\(outcome)")
            }
        }

        @Test("The largest number stands for no limit")
        func takesLargeNumbers() throws {
            let container = try Container { _ in }
            let text = container.config.text().replacing(
                "\"noNewPrivileges\":true",
                with: "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":0,"
                    + "\"hard\":18446744073709551615}],\"noNewPrivileges\":true")
            #expect(text.contains("18446744073709551615"))
            try place().write(text, to: container.bundle + "/large.json")
            container.options = ["--config", container.bundle + "/large.json"]
            try container.running { (process) throws in
                let limits = try Observed.read("/proc/\(process.process)/limits")
                let line = limits.split(separator: "\n").first { $0.contains("core file") }
                #expect(line?.contains("unlimited") == true, "\(limits)")
            }
        }

        @Test("Resource limits are the process's own")
        func hasLimits() throws {
            let files = Int.random(in: 100..<900)
            let container = try Container {
                $0[at: "process/rlimits"] = [
                    [
                        "type": "RLIMIT_NOFILE", "soft": .integer(files - 7),
                        "hard": .integer(files),
                    ],
                    ["type": "RLIMIT_CORE", "soft": 0, "hard": 0],
                    ["type": "RLIMIT_FSIZE", "soft": 4096, "hard": 8192],
                ]
            }
            try container.running { (process) throws in
                for (name, soft, hard) in [
                    ("Max open files", files - 7, files), ("Max core file size", 0, 0),
                    ("Max file size", 4096, 8192),
                ] {
                    let line =
                        try Observed.read("/proc/\(process.process)/limits")
                        .split(separator: "\n").first { $0.hasPrefix(name) } ?? ""
                    let words = line.dropFirst(name.count).split(separator: " ")
                    #expect(words.prefix(2) == ["\(soft)", "\(hard)"], "\(line)")
                }
            }
        }

        @Test("No new privileges are there where the configuration says so, and only there")
        func hasNoNewPrivileges() throws {
            for flag in [true, false] {
                let container = try Container {
                    $0[at: "process/noNewPrivileges"] = .bool(flag)
                }
                try container.running { (process) throws in
                    #expect(try process.status("NoNewPrivs") == [flag ? "1" : "0"])
                }
                // The attack: a set-user-ID program of the image's.
                let attacked = try Container {
                    $0[at: "process/noNewPrivileges"] = .bool(flag)
                    $0[at: "process/user"] = ["uid": 1000, "gid": 1000]
                }
                try place().addProbe(to: attacked.rootfs)
                chmod(attacked.rootfs + "/bin/hull-probe", 0o4755)
                attacked.config[at: "process/args"] = ["/bin/hull-probe", "become-root"]
                #expect(try Verdict(attacked.run()).gotThrough == !flag)
            }
        }

        @Test("The score for the out-of-memory killer is set")
        func hasScore() throws {
            let score = Int.random(in: 100..<900)
            let container = try Container { $0[at: "process/oomScoreAdj"] = .integer(score) }
            try container.running { (process) throws in
                #expect(
                    try Observed.read("/proc/\(process.process)/oom_score_adj") == "\(score)\n")
            }
        }

        @Test("The scheduling policy and its parameters are set", .needs(.scheduler))
        func hasScheduler() throws {
            let nice = Int.random(in: 1..<19)
            let container = try Container {
                $0[at: "process/scheduler"] = ["policy": "SCHED_BATCH", "nice": .integer(nice)]
            }
            try container.running { (process) throws in
                #expect(sched_getscheduler(process.process) == 3)
                #expect(getpriority(Int32(PRIO_PROCESS.rawValue), id_t(process.process)) == nice)
            }
            container.config[at: "process/scheduler"] = ["policy": "SCHED_NOSUCH"]
            try expectRefused(container, naming: "SCHED_NOSUCH")
            let idle = try Container {
                $0[at: "process/scheduler"] = ["policy": "SCHED_IDLE"]
            }
            try idle.running { (process) throws in
                #expect(sched_getscheduler(process.process) == 5)
            }
        }

        @Test("The I/O priority is set", .needs(.ioPriority))
        func hasIOPriority() throws {
            let level = Int.random(in: 1..<8)
            let container = try Container {
                $0[at: "process/ioPriority"] = [
                    "class": "IOPRIO_CLASS_BE", "priority": .integer(level),
                ]
            }
            try container.running { (process) throws in
                let shown = try run(["ionice", "-p", "\(process.process)"])
                #expect(shown.line == "best-effort: prio \(level)", "\(shown)")
            }
            container.config[at: "process/ioPriority/class"] = "IOPRIO_CLASS_NOSUCH"
            try expectRefused(container, naming: "IOPRIO_CLASS_NOSUCH")
        }

        @Test("The execution domain is set", .needs(.personality))
        func hasPersonality() throws {
            let container = try Container(shell: "uname -m") {
                $0[at: "linux/personality"] = ["domain": "LINUX32"]
            }
            #expect(try container.output() == "i686")
            container.config[at: "linux/personality/domain"] = "LINUX"
            #expect(try container.output() == "x86_64")
        }

        @Test(
            "exec takes user, directory, environment and groups of its own",
            .except(.crun, because: "its --env takes every other variable away"))
        func entersAs() throws {
            let (user, group, word) = (
                Int.random(in: 1000..<9000), Int.random(in: 1000..<9000), Place.randomWord()
            )
            let container = try Container { $0[at: "process/env"] = ["PATH=/bin", "OLD=1"] }
            try container.running { (process) throws in
                let outcome = try container.exec(
                    [
                        "--user", "\(user):\(group)", "--cwd", "/tmp", "--env", "WORD=\(word)",
                    ],
                    "sh", "-c", "id -u; id -g; pwd; echo $WORD $OLD; cat /proc/self/cgroup")
                #expect(outcome.lines.prefix(4) == ["\(user)", "\(group)", "/tmp", "\(word) 1"])
                #expect(outcome.code == 0, "\(outcome)")
            }
        }

        @Test("exec is in every namespace and cgroup of the container, with its privileges")
        func entersAll() throws {
            let container = try Container()
            try container.running { (process) throws in
                let file = try place().directory + "/pid"
                let outcome = try container.exec(
                    ["--detach", "--pid-file", file], "sleep", "1000")
                #expect(outcome.code == 0, "\(outcome)")
                let entered = Observed(process: pid_t(try Observed.read(file)) ?? 0)
                for kind in ["mnt", "pid", "net", "uts", "ipc", "cgroup", "user"] {
                    #expect(try entered.namespace(kind) == process.namespace(kind), "\(kind)")
                }
                // crun's exec has new privileges unless it is told otherwise.
                let privileges = Runtime.current == .crun ? [] : ["NoNewPrivs"]
                for field in ["CapEff", "CapBnd", "CapPrm", "CapInh", "Seccomp"] + privileges {
                    #expect(try entered.status(field) == process.status(field), "\(field)")
                }
                let groups = "/proc/\(entered.process)/cgroup"
                #expect(
                    try Observed.read(groups) == Observed.read("/proc/\(process.process)/cgroup"))
            }
        }

        @Test("exec gives the program's exit code, or 128 and the signal")
        func entersExit() throws {
            let container = try Container()
            try container.running { (process) throws in
                for code: Int32 in [0, 1, 7, 255] {
                    #expect(
                        try container.exec([], "sh", "-c", "exit \(code)").ending == .exited(code))
                }
                let killed = try container.exec([], "sh", "-c", "kill -9 $$")
                #expect(killed.ending == .exited(137))
                let piped = try container.exec([], "cat", input: .text("through"))
                #expect(piped.output == "through")
                let missing = try container.exec([], "nosuch")
                #expect(missing.code != 0)
                #expect(missing.errors.contains("not found in $PATH"), "\(missing)")
                #expect(missing.errors.contains("nosuch"), "\(missing)")
            }
        }

        @Test("exec takes groups, and no new privileges")
        func entersWithMore() throws {
            let group = Int.random(in: 1000..<9000)
            let container = try Container { $0[at: "process/noNewPrivileges"] = false }
            try container.running { (_) throws in
                guard Runtime.current != .crun else { return }
                let outcome = try container.exec(
                    ["--additional-gids", "\(group)", "--no-new-privs"], "grep", "-E",
                    "^(Groups|NoNewPrivs)", "/proc/self/status")
                #expect(outcome.lines.first?.contains("\(group)") == true, "\(outcome)")
                #expect(outcome.lines.last == "NoNewPrivs:\t1", "\(outcome)")
            }
        }

        @Test("exec --process runs what a file describes")
        func entersByFile() throws {
            let container = try Container()
            let file = try place().write(
                JSON.object(present: [
                    ("args", ["sh", "-c", "echo $WORD; id -u; pwd"]),
                    ("env", ["PATH=/bin", "WORD=x"]), ("cwd", "/etc"),
                    ("user", ["uid": 77, "gid": 78]),
                ]).text(), to: "process.json")
            try container.running { (_) throws in
                let outcome = try container.exec(["--process", file])
                #expect(outcome.lines == ["x", "77", "/etc"], "\(outcome)")
            }
        }

        @Test("exec --cap adds a capability that the container lacks")
        func entersWithCapability() throws {
            let container = try Container()
            try container.running { (_) throws in
                let script = "grep CapEff /proc/self/status"
                let without = try container.exec([], "sh", "-c", script)
                let with = try container.exec(["--cap", "CAP_SYS_TIME"], "sh", "-c", script)
                let bits = try [without, with].map { outcome in
                    let words = outcome.line.split(separator: "\t")
                    return try #require(UInt64(words.last ?? "", radix: 16))
                }
                #expect(bits[0] & 1 << 25 == 0 && bits[1] & 1 << 25 != 0, "\(with)")
            }
        }

        @Test("exec --cap adds an ambient one only where the container hands it on")
        func entersWithAmbientCapability() throws {
            let container = try Container {
                $0[at: "process/capabilities/inheritable"] = ["CAP_SYS_TIME"]
                $0.append("CAP_SYS_TIME", at: "process/capabilities/bounding")
            }
            try container.running { (_) throws in
                for (name, isAmbient) in [("CAP_SYS_TIME", true), ("CAP_SYSLOG", false)] {
                    let outcome = try container.exec(
                        ["--cap", name], "grep", "CapAmb", "/proc/self/status")
                    #expect(
                        outcome.line.hasSuffix(String(repeating: "0", count: 16)) != isAmbient,
                        "\(outcome)")
                }
            }
        }

        @Test("Neither run nor exec stays on the processors of its maker", .needs(.cpuAffinity))
        func runsOnAllProcessors() throws {
            let all = try Observed.read("/sys/devices/system/cpu/online")
                .trimmingCharacters(in: .newlines)
            let container = try Container()
            try container.save()
            let words = ["run", "--detach", "--bundle", container.bundle, container.id]
            let pinned = ["taskset", "-c", "0"]
            try run(
                ["sh", "-c", "exec \"$@\" >/dev/null 2>&1", "sh"] + pinned
                    + Runtime.command(words))
            #expect(try container.process().status("Cpus_allowed_list") == [all])
            let exec = ["exec", container.id, "grep", "Cpus_allowed_list", "/proc/self/status"]
            let outcome = try run(pinned + Runtime.command(exec))
            #expect(outcome.line.hasSuffix("\t" + all), "\(outcome)")
            try container.delete()
        }

        @Test("exec runs on the processors it is told", .needs(.cpuAffinity))
        func entersOnProcessor() throws {
            let container = try Container {
                $0[at: "process/execCPUAffinity"] = ["initial": "0", "final": "0"]
            }
            try container.running { (_) throws in
                let outcome = try container.exec(
                    [], "grep", "Cpus_allowed_list", "/proc/self/status")
                #expect(outcome.line.hasSuffix("\t0"), "\(outcome)")
            }
        }

        @Test("Nothing of the caller's signal mask, handlers and limits of descriptors gets in")
        func startsClean() throws {
            let container = try Container()
            try container.save()
            let script = """
                import os, signal, sys
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM])
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
                os.execvp(sys.argv[1], sys.argv[1:])
                """
            let command = try Runtime.command(
                ["run", "--detach", "--bundle", container.bundle, container.id])
            try run(
                ["sh", "-c", "exec \"$@\" >/dev/null 2>&1", "sh", "python3", "-c", script]
                    + command)
            let process = try container.process()
            // The others hand them on.
            if Runtime.current == .hull {
                #expect(try process.status("SigBlk") == ["0000000000000000"])
                #expect(try process.status("SigIgn") == ["0000000000000000"])
            }
            try container.delete()
        }

        @Test("A session keyring of its own keeps the caller's keys away")
        func hasKeyring() throws {
            let (name, value) = (Place.randomWord(), Place.randomWord())
            let container = try Container()
            try place().addProbe(to: container.rootfs)
            container.config[at: "process/args"] = .strings(
                ["/bin/hull-probe", "read-key", name, value])
            try container.save()
            let holding = [Products.probe, "hold-key", name, value]
            // On the host, the key is there to be read.
            #expect(
                try Verdict(run(holding + [Products.probe, "read-key", name, value])).gotThrough)
            let outcome = try run(
                holding
                    + Runtime.command(["run", "--bundle", container.bundle, container.id]))
            #expect(try Verdict(outcome).isStopped, "\(outcome)")
        }
    }
}
