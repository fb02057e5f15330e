import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// `save` and `load`, as commands.
    @Suite("Stage 8, archives") struct ArchiveTests {
        @Test("What is saved runs where it is loaded", arguments: [Products.hull, Products.images])
        func travels(_ program: String) throws {
            let word = Place.randomWord()
            let name = "\(Place.randomWord()):v2"
            try importImage(name, saying: word)
            let archive = try place().directory + "/archive.tar"
            let saved = try run([program, "save", "-o", archive, name])
            #expect(saved.code == 0 && saved.output.isEmpty && saved.errors.isEmpty, "\(saved)")
            let other = try place().directory + "/other"
            let loaded = try run(
                [program, "load", "-i", archive], environment: ["HULL_ROOT": other])
            #expect(loaded.line == "Loaded image: \(name)", "\(loaded)")
            let ran = try run(
                [Products.hull, "run", "--rm", "--network", "none", name],
                environment: ["HULL_ROOT": other])
            #expect(ran.line == word, "\(ran)")
        }

        @Test("A bad archive is one line and nothing in the store")
        func refuses() throws {
            let name = "\(Place.randomWord()):v2"
            try importImage(name, saying: "")
            let archive = try place().directory + "/archive.tar"
            try run([Products.hull, "save", "-o", archive, name])
            let other = try place().directory + "/other"
            for (bytes, object) in [("1000", archive), ("100000", archive), ("0", archive)] {
                let cut = archive + ".cut"
                try run(["sh", "-c", "head -c \(bytes) '\(archive)' > '\(cut)'"])
                let got = try run(
                    [Products.hull, "load", "-i", cut], environment: ["HULL_ROOT": other])
                expectOneLine(got, code: 125, naming: object, "EBADMSG")
            }
            let gone = try run([Products.hull, "load", "-i", archive + "x"])
            expectOneLine(gone, code: 125, naming: archive + "x", "ENOENT")
            let text = try run([Products.hull, "load"], input: .text("no archive\n"))
            expectOneLine(text, code: 125, naming: "standard input", "EBADMSG")
            let list = try run([Products.hull, "images", "-q"], environment: ["HULL_ROOT": other])
            #expect(list.code == 0 && list.output.isEmpty, "\(list)")
            #expect(try blobs(in: other) == [])
        }

        @Test("What cannot be saved is one line and no file")
        func refusesToSave() throws {
            let name = "\(Place.randomWord()):v2"
            try importImage(name, saying: "")
            let directory = try place().makeDirectory("out")
            let file = directory + "/archive.tar"
            let unknown = try run([Products.hull, "save", "-o", file, name, "nothing-\(name)"])
            expectOneLine(unknown, code: 125, naming: "nothing-\(name)", "ENOENT")
            let format = try run([Products.hull, "save", "--format", "zip", "-o", file, name])
            expectOneLine(format, code: 125, naming: "zip", "EINVAL")
            let nowhere = try run([Products.hull, "save", "-o", "/nowhere/archive", name])
            expectOneLine(nowhere, code: 125, naming: "/nowhere/archive", "ENOENT")
            let full = try run([
                "unshare", "--mount", "--propagation", "private", "sh", "-c",
                "mount -t tmpfs -o size=64k tmpfs '\(directory)' && \"$@\"; "
                    + "code=$?; ls '\(directory)'; exit $code", "sh", Products.hull,
                "save", "-o", file, name,
            ])
            expectOneLine(full, code: 125, naming: file, "ENOSPC")
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == [])
        }

        /// The layer has twice as many bytes as the process may have addresses.
        @Test("Memory is bounded, whatever the size of a layer", .timeLimit(.minutes(2)))
        func isBounded() throws {
            let name = Place.randomWord()
            let work = try place().makeDirectory("work")
            try run(
                [
                    "bash", "-euc",
                    """
                    cd '\(work)'; truncate -s 128M big; tar -cf layer.tar big; rm big
                    digest=$(sha256sum layer.tar | cut -d ' ' -f 1)
                    printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers",' > config
                    printf '"diff_ids":["sha256:%s"]}}' "$digest" >> config
                    printf '[{"Config":"config","RepoTags":["\(name):1"],"Layers":["layer.tar"]}]' \
                        > manifest.json
                    """,
                ], seconds: 60)
            let got = try run(
                [
                    "bash", "-euo", "pipefail", "-c",
                    """
                    cd '\(work)'
                    limited() { (ulimit -v 65536; '\(Products.hull)' "$@"); }
                    tar -c layer.tar config manifest.json | limited load
                    limited save \(name):1 | wc -c
                    """,
                ], seconds: 90)
            #expect(got.lines.first == "Loaded image: \(name):1", "\(got)")
            #expect((got.lines.last.flatMap { Int($0) } ?? 0) > 128 << 20, "\(got)")
        }

        @Test("A load that is killed at any moment leaves a store that is whole")
        func survives() throws {
            let name = "\(Place.randomWord()):v2"
            try importImage(name, saying: "")
            let archive = try place().directory + "/archive.tar"
            try run([Products.hull, "save", "-o", archive, name])
            let other = try place().directory + "/other"
            let environment = ["HULL_ROOT": other]
            for _ in 0..<40 {
                let load = try Program(
                    [Products.hull, "load", "-i", archive], environment: environment)
                usleep(UInt32.random(in: 0...60_000))
                load.signal(SIGKILL)
                try load.wait()
                let listed = try run([Products.hull, "images"], environment: environment)
                #expect(listed.code == 0, "\(listed)")
                // What is named is whole.
                if listed.output.contains(":") || listed.lines.count > 1 {
                    let saved = try run(
                        ["sh", "-c", "'\(Products.hull)' save \(name) | cmp - '\(archive)'"],
                        environment: environment)
                    #expect(saved.code == 0, "\(saved)")
                    try run([Products.hull, "rmi", name], environment: environment)
                }
            }
            let loaded = try run([Products.hull, "load", "-i", archive], environment: environment)
            #expect(loaded.code == 0, "\(loaded)")
            let left = try FileManager.default.contentsOfDirectory(atPath: other + "/images/ingest")
            #expect(left.filter { $0 != "lock" } == [])
        }

        private func importImage(_ name: String, saying word: String) throws {
            let rootfs = try place().rootfs()
            let imported = try run([
                Products.hull, "image", "import", "-c", "CMD [\"echo\", \"\(word)\"]", rootfs, name,
            ])
            #expect(imported.code == 0, "\(imported)")
        }

        private func blobs(in state: String) throws -> [String] {
            let path = state + "/images/blobs/sha256"
            if access(path, F_OK) != 0 { return [] }
            return try FileManager.default.contentsOfDirectory(atPath: path)
        }
    }
}
