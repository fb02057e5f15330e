import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// `-v SRC:DST[:ro]`.
    @Suite("Volumes") struct VolumeTests {
        @Test(
            "A directory shows in the sandbox, and what is written there the host finds",
            arguments: Runner.withMounts)
        func showsDirectories(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let (word, answer) = (Place.randomWord(), Place.randomWord())
            let source = try place().makeDirectory("source")
            try place().write(word + "\n", to: "source/file")
            let script = "cat /data/file; echo \(answer) > /data/answer"
            let hidden = try shell(in: runner, rootfs, script)
            #expect(hidden.code != 0 && access(source + "/answer", F_OK) != 0)
            let got = try shell(in: runner, rootfs, options: ["-v", source + ":/data"], script)
            #expect(got.line == word, "\(got)")
            #expect(try Observed.read(source + "/answer") == answer + "\n")
            #expect(access(rootfs + "/data", F_OK) != 0, "made in the lower layer")
        }

        @Test(
            "A file shows in the sandbox, over one that is there or where there is none",
            arguments: Runner.withMounts)
        func showsFiles(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let word = Place.randomWord()
            let source = try place().write(word + "\n", to: "file")
            for target in ["/etc/passwd", "/new", "/some/where/new"] {
                let got = try shell(
                    in: runner, rootfs, options: ["-v", "\(source):\(target)"],
                    "cat \(target); echo more >> \(target)")
                #expect(got.line == word, "\(got)")
                #expect(try Observed.read(source) == word + "\nmore\n")
                try place().write(word + "\n", to: "file")
            }
        }

        @Test(
            "A read-only volume can be read and not written, with all mounts below it",
            arguments: Runner.withMounts)
        func restricts(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let source = try place().makeDirectory("source")
            _ = try place().makeDirectory("source/below")
            let script = """
                cat /data/below/file
                (echo x > /data/new) 2>/dev/null && echo wrote
                (echo x > /data/below/new) 2>/dev/null && echo wrote below; true
                """
            // The host mounts something below the source; in a namespace, to clear up by itself.
            let outer = """
                mount -t tmpfs tmpfs "$0/below" && echo inner > "$0/below/file" && exec "$@"
                """
            for (mode, expected) in [
                (":ro", ["inner"]), ("", ["inner", "wrote", "wrote below"]),
                (":rw", ["inner", "wrote", "wrote below"]),
            ] {
                let command = runner.command(
                    ["-v", "\(source):/data\(mode)"], rootfs: rootfs, ["sh", "-c", script])
                let got = try run(["unshare", "-m", "sh", "-c", outer, source] + command)
                #expect(got.lines == expected, "\(mode): \(got)")
            }
        }

        @Test("A source that is not there is refused by name", arguments: Runner.withMounts)
        func needsSource(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let missing = try place().directory + "/" + Place.randomWord()
            let got = try run(
                runner.command(["-v", missing + ":/data"], rootfs: rootfs, ["true"]))
            expectOneLine(got, code: 125, naming: missing, "ENOENT")
            #expect(access(missing, F_OK) != 0)
        }

        @Test("A source may be relative or a symbolic link", arguments: Runner.withMounts)
        func followsSource(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let word = Place.randomWord()
            try place().write(word, to: "real/file")
            let link = try place().directory + "/link"
            symlink("real", link)
            for source in [link, "link", "./real/../link"] {
                let got = try run(
                    runner.command(
                        ["-v", source + ":/data"], rootfs: rootfs, ["cat", "/data/file"]),
                    directory: try place().directory)
                #expect(got.output == word, "\(got)")
            }
        }

        @Test(
            "A symbolic link of the image cannot lead a target to the host",
            arguments: Runner.withMounts)
        func cannotEscape(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let word = Place.randomWord()
            let source = try place().makeDirectory("source")
            try place().write(word, to: "source/file")
            let outside = try place().makeDirectory("outside")
            let climbing = String(repeating: "../", count: 20) + outside.dropFirst()
            symlink("/etc", rootfs + "/data")
            symlink(outside, rootfs + "/absolute")
            symlink(climbing, rootfs + "/climbing")
            let before = try fingerprint(of: rootfs)
            for (target, inside) in [
                ("/data", "/etc"), ("/absolute", outside), ("/climbing", outside),
                ("/absolute/new", outside + "/new"), ("/climbing/a/b", outside + "/a/b"),
                ("/../../../x", "/x"), ("/var/../y", "/y"),
            ] {
                let got = try run(
                    runner.command(
                        ["-v", source + ":" + target], rootfs: rootfs, ["cat", inside + "/file"]))
                if got.code == 125 {
                    // Refusing is as good, if it is said.
                    expectOneLine(got, code: 125, naming: target)
                } else {
                    #expect(got.output == word, "\(target): \(got)")
                }
                #expect(try FileManager.default.contentsOfDirectory(atPath: outside).isEmpty)
            }
            #expect(try fingerprint(of: rootfs) == before)
        }

        @Test(
            "A target may be a link that leads to a directory of the image",
            arguments: Runner.withMounts)
        func followsTarget(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            let word = Place.randomWord()
            try place().write(word, to: "source/file")
            symlink("/var", rootfs + "/data")
            let source = try place().directory + "/source"
            let got = try run(
                runner.command(["-v", source + ":/data"], rootfs: rootfs, ["cat", "/var/file"]))
            #expect(got.output == word, "\(got)")
        }

        @Test("Sources and targets may have any name but for colons", arguments: oddNames)
        func acceptsOddNames(_ name: String) throws {
            let rootfs = try place().rootfs()
            let word = Place.randomWord()
            try place().write(word, to: "\(name)/file")
            let source = try place().directory + "/" + name
            for runner in Runner.withMounts {
                let got = try run(
                    runner.command(
                        ["-v", "\(source):/t/\(name):ro"], rootfs: rootfs,
                        ["cat", "/t/\(name)/file"]))
                #expect(got.output == word, "\(got)")
            }
        }

        @Test("Volumes are mounted in the order they are given", arguments: Runner.withMounts)
        func keepsOrder(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            for name in ["a", "b"] { try place().write(name, to: "\(name)/file") }
            let directory = try place().directory
            _ = try place().makeDirectory("a/inner")
            let got = try shell(
                in: runner, rootfs,
                options: ["-v", "\(directory)/a:/data", "-v", "\(directory)/b:/data/inner"],
                "cat /data/file /data/inner/file")
            #expect(got.output == "ab", "\(got)")
        }

        @Test("A malformed volume is refused by name", arguments: Runner.withMounts)
        func refusesMalformed(_ runner: Runner) throws {
            let rootfs = try place().rootfs()
            for text in [
                "", "/tmp", "/tmp:", ":/data", "/tmp:data", "/tmp:/d:rx", "/tmp:/:ro", "a:b:c:d",
            ] {
                let got = try run(runner.command(["-v", text], rootfs: rootfs, ["true"]))
                expectOneLine(got, code: 125, naming: "volume " + (text.isEmpty ? "\"\"" : text))
            }
        }
    }
}
