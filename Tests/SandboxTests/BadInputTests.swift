import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// Whatever is wrong: one line, the right exit code, nothing left.
    @Suite("Bad input") struct BadInputTests {
        @Test(
            "A rootfs that is missing or no directory is refused by name",
            arguments: Runner.allCases)
        func refusesRootfs(_ runner: Runner) throws {
            let missing = try place().directory + "/" + Place.randomWord()
            let file = try place().write("x", to: "file")
            let dangling = try place().directory + "/dangling"
            symlink(missing, dangling)
            for (path, errno) in [
                (missing, "ENOENT"), (missing + "/x", "ENOENT"), (file, "ENOTDIR"),
                (file + "/x", ""), (dangling, "ENOENT"), ("", ""),
                ("/" + String(repeating: "x", count: 5000), ""),
            ] {
                let got = try run(runner.command(rootfs: path, ["true"]))
                expectOneLine(got, code: 125, naming: String(path.prefix(200)), errno)
            }
        }

        @Test("A command that is not there gives 127", arguments: Runner.allCases)
        func misses(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            try place().write("#!/no/such/interpreter\n", to: rootfs + "/script", mode: 0o755)
            symlink("/no/where", rootfs + "/bin/dangling")
            for name in [
                Place.randomWord(), "/bin/" + Place.randomWord(), "./" + Place.randomWord(),
                "/etc/passwd/x", "/script", "dangling", "/bin/dangling",
            ] {
                let got = try run(runner.command(rootfs: rootfs, [name]))
                expectOneLine(got, code: 127, naming: name)
            }
            expectOneLine(try run(runner.command(rootfs: rootfs, [""])), code: 127, naming: "")
        }

        @Test("A command that cannot be executed gives 126", arguments: Runner.allCases)
        func cannotExecute(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            try place().write("echo x", to: rootfs + "/plain")
            try place().write("no program", to: rootfs + "/garbage", mode: 0o755)
            try place().write("no program", to: rootfs + "/bin/in-path")
            for (name, errno) in [
                ("/plain", "EACCES"), ("/etc", "EACCES"), ("/garbage", "ENOEXEC"),
                ("in-path", "EACCES"),
            ] {
                let got = try run(runner.command(rootfs: rootfs, [name]))
                expectOneLine(got, code: 126, naming: name, errno)
            }
        }

        @Test("A rootfs without a directory for /proc is refused", arguments: Runner.withProcesses)
        func needsProc(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            #expect(rmdir(rootfs + "/proc") == 0)
            let got = try run(runner.command(rootfs: rootfs, ["true"]))
            expectOneLine(got, code: 125, naming: "/proc", "ENOENT")
            try place().write("x", to: rootfs + "/proc")
            let file = try run(runner.command(rootfs: rootfs, ["true"]))
            expectOneLine(file, code: 125, naming: "/proc", "ENOTDIR")
        }

        @Test("A chroot does not need /proc, nor anything but the command")
        func needsLittle() throws {
            let rootfs = try place().makeDirectory("bare")
            try FileManager.default.copyItem(
                atPath: "/usr/bin/busybox", toPath: rootfs + "/busybox")
            let got = try run(Runner.stage01.command(rootfs: rootfs, ["/busybox", "echo", "x"]))
            #expect(got.output == "x\n", "\(got)")
        }

        @Test(
            "A state directory that an ordinary user cannot write is named",
            arguments: Runner.withProcesses)
        func needsPrivileges(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let user = try TestUser()
            let closed = try place().makeDirectory("closed")
            let got = try user.run(
                runner.command(rootfs: rootfs, ["true"]), environment: ["HULL_ROOT": closed])
            expectOneLine(got, code: 125, naming: closed, "EACCES")
            #expect(got.errors.contains("root"), "does not say what helps: \(got)")
            #expect(remains(in: closed).isEmpty)
        }

        @Test("A full disk is named, and nothing is left on it", arguments: Runner.withProcesses)
        func reportsFullDisk(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            // Room for the directory itself and one more.
            let got = try onStateDirectory("size=4k,nr_inodes=3", ":", runner, rootfs)
            expectOneLine(got, code: 125, naming: try place().state, "ENOSPC")
        }

        @Test("A disk that is full of data is named", arguments: [Runner.stage02, .hull])
        func reportsFullData(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let got = try onStateDirectory(
                "size=4k", "dd if=/dev/zero of=$HULL_ROOT/filler bs=4k count=1 2>/dev/null", runner,
                rootfs)
            expectOneLine(got, code: 125, naming: try place().state, "ENOSPC")
        }

        @Test("A read-only state directory is named", arguments: Runner.withProcesses)
        func reportsReadOnly(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let got = try onStateDirectory(
                "size=1m", "mount -o remount,ro $HULL_ROOT", runner, rootfs)
            expectOneLine(got, code: 125, naming: try place().state, "EROFS")
            #expect(got.errors.contains("HULL_ROOT"), "\(got)")
        }

        @Test("A state directory that is a file is named", arguments: Runner.withProcesses)
        func reportsFile(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let file = try place().write("x", to: "file")
            let got = try run(
                runner.command(rootfs: rootfs, ["true"]), environment: ["HULL_ROOT": file])
            expectOneLine(got, code: 125, naming: file)
        }

        /// Runs with a small file system as the state directory, in a mount namespace of its own.
        private func onStateDirectory(
            _ options: String, _ preparation: String, _ runner: Runner, _ rootfs: String
        ) throws -> Outcome {
            let script = """
                mkdir -p $HULL_ROOT && mount -t tmpfs -o \(options) tmpfs $HULL_ROOT &&
                \(preparation) || exit 98
                "$@"; code=$?
                ls $HULL_ROOT/run/scratch $HULL_ROOT/throwaway $HULL_ROOT/containers 2>/dev/null |
                    grep -qE '^[0-9a-f]{12}$' && exit 99
                exit $code
                """
            return try run(
                ["unshare", "-m", "sh", "-c", script, "sh"]
                    + runner.command(rootfs: rootfs, ["true"]))
        }

        @Test("Names with newlines do not break the one line", arguments: Runner.allCases)
        func keepsOneLine(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let name = "no\nsuch\tthing\u{1B}[31m"
            for command in [
                runner.command(rootfs: "/" + name, ["true"]),
                runner.command(rootfs: rootfs, [name]),
                runner.command(["--" + name], rootfs: rootfs, ["true"]),
            ] {
                let got = try run(command)
                #expect(got.errors.filter { $0 == "\n" }.count == 1, "\(got)")
                #expect(!got.errors.contains("\u{1B}"), "escape sequences get through: \(got)")
            }
        }

        @Test("Arguments may be long and many", arguments: Runner.allCases)
        func acceptsLongArguments(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let words = [String(repeating: "µ", count: 60_000)] + (0..<20_000).map { "\($0)" }
            let got = try run(
                runner.command(rootfs: rootfs, ["sh", "-c", "echo $# ${#1}", "sh"] + words))
            let expected = ["\(words.count) 60000", "\(words.count) 120000"]
            #expect(expected.contains(got.line), "\(got)")
            let name = String(repeating: "x", count: 100_000)
            let missing = try run(runner.command(rootfs: rootfs, [name]))
            #expect([126, 127].contains(missing.code), "\(missing)")
            #expect(missing.errors.filter { $0 == "\n" }.count == 1)
        }

        @Test("Three hundred volumes are mounted", arguments: Runner.withMounts)
        func acceptsManyVolumes(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let directory = try place().directory
            let options = try (0..<300).flatMap { number in
                try place().write("\(number)\n", to: "v\(number)/file")
                return ["-v", "\(directory)/v\(number):/data/\(number):ro"]
            }
            let got = try shell(in: runner, rootfs, options: options, "cat /data/*/file | sort -n")
            #expect(got.lines == (0..<300).map { "\($0)" }, "\(got)")
        }

        @Test("A malformed --tmpfs is refused by name", arguments: Runner.withMounts)
        func refusesTmpfs(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            for text in ["", "relative", "/", "/tmp:size=nonsense", "/tmp:frobnicate=1"] {
                let got = try run(runner.command(["--tmpfs", text], rootfs: rootfs, ["true"]))
                expectOneLine(got, code: 125, naming: String(text.prefix { $0 != ":" }), "EINVAL")
            }
        }

        @Test("A host name that is too long, or an unknown network, is refused by name")
        func refusesNames() throws {
            let rootfs = try place().rootfs()
            let long = String(repeating: "x", count: 65)
            for (options, object) in [
                (["--hostname", long], long), (["--network", "../x"], "../x"),
                (["-e", "=x"], "=x"), (["-e", ""], "\"\""), (["-w", "relative"], "relative"),
            ] {
                let got = try run(Runner.hull.command(options, rootfs: rootfs, ["true"]))
                expectOneLine(got, code: 125, naming: object)
            }
        }
    }
}

/// What needs neither root nor the kernel.
@Suite("Command lines") struct CommandLineTests {
    private static let programs =
        Products.stages.map { [$0] }
        + [
            [Products.hull], [Products.hull, "run"], [Products.hull, "ps"], [Products.hull, "rm"],
        ]

    @Test("--help tells the usage on standard output", arguments: programs)
    func helps(_ program: [String]) throws {
        for option in ["--help", "-h"] {
            let got = try run(program + [option])
            #expect(got.code == 0 && got.errors.isEmpty, "\(got)")
            #expect(got.output.hasPrefix("Usage: "), "\(got)")
        }
    }

    @Test("The README counts the attacks as hull-probe does")
    func countsAttacks() throws {
        let table = try run([Products.probe, "--markdown"]).output
        let readme = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../README.md")
        #expect(table.count > 500)
        #expect(try String(contentsOf: readme, encoding: .utf8).contains(table))
    }

    @Test("An unknown option is refused by name", arguments: programs)
    func refusesOptions(_ program: [String]) throws {
        for option in ["--frobnicate", "--frobnicate=1", "-Z"] {
            let got = try run(program + [option, "/", "true"])
            expectOneLine(got, code: 125, naming: String(option.prefix { $0 != "=" }), "EINVAL")
            #expect(got.errors.contains("--help"), "\(got)")
        }
    }

    @Test("A missing rootfs, command or value is refused", arguments: Products.stages)
    func refusesMissing(_ program: String) throws {
        for arguments in [[], ["/"], ["--"], ["--", "/"], ["--explain"]] {
            let got = try run([program] + arguments)
            #expect(got.ending == .exited(125), "\(got)")
            #expect(got.errors.split(separator: "\n").count == 1, "\(got)")
            #expect(got.errors.contains("--help"), "\(got)")
        }
        let got = try run([program, "--explain=nonsense", "/", "true"])
        expectOneLine(got, code: 125, naming: "--explain=nonsense")
    }

    @Test("A flag takes no value, and an option that needs one says so")
    func refusesValues() throws {
        for (arguments, option) in [
            (["--init=1", "/", "true"], "--init"), (["--volume"], "--volume"), (["-v"], "-v"),
            (["--keep"], "--keep"),
        ] {
            let got = try run([Products.overlay] + arguments)
            expectOneLine(got, code: 125, naming: option)
        }
    }

    @Test("Options after the rootfs belong to the command")
    func stopsAtOperands() throws {
        let got = try run([Products.hull, "nonsense"])
        expectOneLine(got, code: 125, naming: "nonsense")
        let none = try run([Products.hull])
        #expect(none.code == 125, "\(none)")
        let image = try run([Products.hull, "run"])
        expectOneLine(image, code: 125, naming: "")
    }
}
