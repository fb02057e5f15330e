import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// The commands on images, of `hull` and of the stage's own program.
    @Suite("Stage 8, images") struct Stage08ImageTests {
        static let programs = [Products.hull, Products.images]

        /// Imports a directory with one file, and gives the image's id.
        @discardableResult
        private func image(_ name: String, _ content: String = Place.randomWord()) throws -> String
        {
            let tree = try place().makeDirectory("tree")
            try place().write(content, to: tree + "/file")
            let made = try run([Products.hull, "image", "import", tree, name])
            #expect(made.code == 0, "\(made)")
            return made.line
        }

        private func hull(_ words: String...) throws -> Outcome {
            let outcome = try run([Products.hull] + words, seconds: 60)
            #expect(outcome.code == 0 && outcome.errors.isEmpty, "\(outcome)")
            return outcome
        }

        private func json(_ outcome: Outcome) throws -> [[String: Any]] {
            let value = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
            return try #require(value as? [[String: Any]])
        }

        private func names() throws -> [String] {
            try json(try hull("images", "--json")).compactMap { $0["name"] as? String }.sorted()
        }

        @Test("A command runs in a root file system out of the store, as the image says")
        func runs() throws {
            let rootfs = try place().rootfs()
            let word = Place.randomWord()
            try place().write(word, to: rootfs + "/etc/word")
            let changes = [
                "-c", "ENV WORD=\(word) OTHER=x", "-c", "WORKDIR /etc", "-c", "USER 7:8",
            ]
            let made = try run(
                [Products.images, "image", "import"] + changes + [rootfs, "app"], seconds: 60)
            #expect(made.code == 0, "\(made)")
            let stage = [Products.images, "--network", "none"]
            let script = "cat word; echo; echo $WORD $(pwd) $(id -u) $(id -g); exit 9"
            let got = try run(stage + ["app", "sh", "-c", script])
            #expect(got.code == 9 && got.lines == [word, "\(word) /etc 7 8"], "\(got)")
            let options = ["-u", "0", "-w", "/tmp"]
            let other = try run(
                stage + options + ["app", "sh", "-c", "echo $OTHER $(pwd) $(id -u); rm /etc/word"])
            #expect(other.code == 0 && other.line == "x /tmp 0", "\(other)")
            // What one removed, the next one has again.
            #expect(try run(stage + ["app", "cat", "/etc/word"]).line == word)
            #expect(try run(stage + ["app", "nosuch"]).code == 127)
            expectOneLine(
                try run(stage + ["nosuch", "true"]), code: 125, naming: "nosuch", "ENOENT")
            expectOneLine(try run(stage + ["app"]), code: 125, naming: "app", "EINVAL")
        }

        @Test("An image whose name goes while a command runs in it stays until that ends")
        func staysWhileUsed() throws {
            let made = try run(
                [Products.hull, "image", "import", try place().rootfs(), "app"], seconds: 60)
            let script = "echo ready; read line; cat /etc/passwd"
            let running = try Program(
                [Products.images, "--network", "none", "app", "sh", "-c", script], input: .pipe)
            try running.waitForOutput("ready")
            let removed = try hull("rmi", "app")
            #expect(removed.lines.contains("Deleted: \(made.line)"), "\(removed)")
            _ = try hull("image", "prune", "--all")
            running.write("\n")
            let got = try running.wait()
            #expect(got.code == 0 && got.output.contains("root:x:0:0"), "\(got)")
            let pruned = try hull("image", "prune")
            #expect(pruned.line.contains("3 blobs") && pruned.line.contains("1 unpacked"))
        }

        @Test("Another name is as good as the first, and the image goes with the last")
        func tags() throws {
            let id = try image("one")
            _ = try hull("tag", "one", "registry.example:5000/team/two:v2")
            _ = try hull("tag", String(id.dropFirst(7).prefix(12)), "three")
            #expect(
                try names() == [
                    "docker.io/library/one:latest", "docker.io/library/three:latest",
                    "registry.example:5000/team/two:v2",
                ])
            #expect(try hull("rmi", "one").lines == ["Untagged: one:latest"])
            expectOneLine(
                try run([Products.hull, "rmi", id]), code: 125, naming: "three:latest", "EBUSY")
            let gone = try hull("rmi", "-f", id)
            #expect(
                gone.lines.prefix(3) == [
                    "Untagged: registry.example:5000/team/two:v2", "Untagged: three:latest",
                    "Deleted: \(id)",
                ], "\(gone)")
            #expect(gone.lines.last?.hasPrefix("Freed: ") == true, "\(gone)")
            #expect(try names().isEmpty)
        }

        @Test("A name goes back to what it meant before, and forward again")
        func versions() throws {
            let ids = try (0..<3).map { _ in try image("app") }
            let listed = try json(try hull("image", "versions", "--json", "app"))
            #expect(listed.map { $0["id"] as? String } == ids.reversed())
            #expect(listed.map { $0["until"] is NSNull } == [true, false, false])
            #expect(try hull("image", "revert", "app").line == ids[1])
            #expect(try hull("image", "revert", "app").line == ids[2])
            #expect(try hull("image", "revert", "app", ids[0]).line == ids[0])
            #expect(try json(try hull("inspect", "app"))[0]["Id"] as? String == ids[0])
            #expect(try json(try hull("images", "--json")).count == 1)
            #expect(try json(try hull("images", "--all", "--json")).count == 3)
            _ = try hull("image", "prune")
            #expect(try json(try hull("image", "versions", "--json", "app")).count == 1)
            expectOneLine(
                try run([Products.hull, "image", "revert", "app"]), code: 125, naming: "app",
                "ENOENT")
        }

        @Test("history and inspect tell what is in the documents, in Docker's words")
        func describes() throws {
            let tree = try place().makeDirectory("tree")
            try place().write("x", to: tree + "/file")
            let word = Place.randomWord()
            let changes = ["-c", "LABEL word=\(word)", "-c", "CMD [\"/x\"]", "-c", "EXPOSE 80"]
            let made = try run([Products.hull, "image", "import"] + changes + [tree, "a/b:1"])
            let inspected = try json(try hull("inspect", "a/b:1", made.line))
            #expect(inspected.count == 2)
            for image in inspected {
                #expect(image["Id"] as? String == made.line)
                #expect(image["RepoTags"] as? [String] == ["a/b:1"])
                let config = try #require(image["Config"] as? [String: Any])
                #expect(config["Cmd"] as? [String] == ["/x"])
                #expect((config["Labels"] as? [String: String])?["word"] == word)
            }
            let digests = inspected[0]["RepoDigests"] as? [String]
            let digest = try #require(digests?.first)
            #expect(try hull("inspect", digest).output.contains(made.line))
            // The documents, byte for byte.
            let blobs = try place().state + "/images/blobs/sha256/"
            let config = try hull("inspect", "--config", "a/b:1")
            #expect(config.output == (try Observed.read(blobs + made.line.dropFirst(7))))
            let manifest = try hull("inspect", "--manifest", "a/b:1")
            #expect(manifest.output == (try Observed.read(blobs + digest.dropFirst(11))))
            let steps = try json(try hull("history", "--json", "a/b:1"))
            #expect(steps.map { $0["createdBy"] as? String } == ["hull image import"])
            #expect(steps.map { $0["size"] as? Int } == [1])
            #expect(try hull("history", "a/b:1").lines.count == 2)
        }

        @Test("A damaged image is found out by image verify, and mended by another import")
        func verifies() throws {
            try image("good", "good")
            let id = try image("bad", "bad")
            #expect(try hull("image", "verify").lines.count == 2)
            let path = try place().state + "/images/blobs/sha256/" + id.dropFirst(7)
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            let whole = bytes
            bytes[bytes.count / 2] ^= 1
            try bytes.write(to: URL(fileURLWithPath: path))
            _ = try hull("image", "verify", "good")
            let found = try run([Products.hull, "image", "verify", "bad"])
            expectOneLine(found, code: 125, naming: path, "EBADMSG")
            try whole.write(to: URL(fileURLWithPath: path))
            _ = try hull("image", "verify")
        }

        @Test("Both programs have every command, and each has its help", arguments: programs)
        func helps(_ program: String) throws {
            let help = try run([program, "--help"]).output
            let commands = [
                "images", "tag", "rmi", "history", "inspect", "image import", "image versions",
                "image revert", "image verify", "image prune",
            ]
            for command in commands {
                #expect(help.contains("  \(command)  "), "\(command)")
                let own = try run(
                    [program] + command.split(separator: " ").map(String.init) + ["-h"])
                let name = (program as NSString).lastPathComponent
                #expect(
                    own.code == 0 && own.output.hasPrefix("Usage: \(name) \(command) "), "\(own)")
            }
        }

        @Test("What makes no sense is refused in one line")
        func refusesNonsense() throws {
            try image("app")
            let platform = ["--platform", "linux/\(Place.randomWord())"]
            let calls: [([String], String, String)] = [
                (["tag", "app"], "app", "EINVAL"), (["tag", "nosuch", "x"], "nosuch", "ENOENT"),
                (["tag", "app", "Bad Name"], "Bad Name", "EINVAL"),
                (["tag", "app", "x@sha256:" + String(repeating: "0", count: 64)], "x@", "EINVAL"),
                (["rmi"], "", "EINVAL"), (["rmi", "nosuch"], "nosuch", "ENOENT"),
                (["rmi", "../../etc"], "../../etc", "EINVAL"),
                (["rmi", "0123456789ab"], "0123456789ab", "ENOENT"),
                (["inspect"], "", "EINVAL"), (["inspect", "a\nb"], "a?b", "EINVAL"),
                (["history", "app", "app"], "app", "EINVAL"), (["images", "x"], "x", "EINVAL"),
                (["history"] + platform + ["app"], "app", "ENOENT"),
                (["history", "--platform", "a/b/c/d", "app"], "a/b/c/d", "EINVAL"),
                (["image", "revert", "nosuch"], "nosuch", "ENOENT"),
                (["image", "revert", "app", "abcdef"], "abcdef", "ENOENT"),
                (["image", "versions", "nosuch"], "nosuch", "ENOENT"),
                (["image", "verify", "nosuch"], "nosuch", "ENOENT"),
                (["image", "prune", "x"], "x", "EINVAL"), (["image", "nosuch"], "image", "EINVAL"),
                (["image", "prune", "--nosuch"], "--nosuch", "EINVAL"),
            ]
            for (words, object, errno) in calls {
                let got = try run([Products.hull] + words)
                expectOneLine(got, code: 125, naming: object, errno)
            }
            #expect(try names() == ["docker.io/library/app:latest"])
        }

        @Test("Where nothing has been imported yet, nothing is listed and nothing breaks")
        func worksWithoutStore() throws {
            #expect(try hull("images", "-q").output.isEmpty)
            #expect(try hull("image", "verify").output.isEmpty)
            #expect(!FileManager.default.fileExists(atPath: try place().state + "/images"))
            #expect(try hull("image", "prune").line == "Freed: 0 B")
            expectOneLine(
                try run([Products.hull, "rmi", "nosuch"]), code: 125, naming: "nosuch", "ENOENT")
        }

        @Test("A container keeps its image, unless it is taken away by force")
        func containersKeepImages() throws {
            let rootfs = try place().rootfs()
            let made = try run([Products.hull, "image", "import", rootfs, "app"], seconds: 60)
            let ran = try run(
                [Products.hull, "run", "--network", "none", "app", "sh", "-c", "echo x > /new"])
            #expect(ran.code == 0, "\(ran)")
            let listed = try json(try hull("ps", "--all", "--json"))
            let container = listed.first?["container"] as? [String: Any]
            let id = try #require(container?["id"] as? String)
            for name in ["app", made.line] {
                expectOneLine(
                    try run([Products.hull, "rmi", name]), code: 125, naming: id, "EBUSY")
            }
            #expect(try hull("image", "prune", "--all").line == "Freed: 0 B")
            #expect(try hull("rmi", "--force", "app").lines.contains("Deleted: \(made.line)"))
            #expect(try names().isEmpty)
            // It still has all that it stands on.
            #expect(try hull("image", "prune", "--all").line == "Freed: 0 B")
            #expect(try hull("diff", id).output.contains("/new"))
            _ = try hull("rm", id)
            #expect(try hull("image", "prune").line.contains("3 blobs, 1 unpacked layer"))
        }

        @Test("A disk that is full is named, and the images on it stay as they were")
        func survivesFullDisk() throws {
            let tree = try place().makeDirectory("tree")
            try run(["dd", "if=/dev/urandom", "of=\(tree)/big", "bs=1M", "count=3"])
            let small = try place().makeDirectory("small")
            try place().write(Place.randomWord(), to: small + "/file")
            let script = """
                mkdir -p $HULL_ROOT && mount -t tmpfs -o size=2m tmpfs $HULL_ROOT
                $0 image import $1 small > /dev/null || exit 1
                $0 image import $2 small
                code=$?
                $0 image verify > /dev/null && $0 image versions small > /dev/null || exit 2
                test -z "$(ls $HULL_ROOT/images/ingest | grep -v lock)" || exit 3
                exit $code
                """
            let got = try run(
                ["unshare", "--mount", "sh", "-c", script, Products.hull, small, tree], seconds: 60)
            expectOneLine(got, code: 125, naming: try place().state, "ENOSPC")
        }
    }
}
