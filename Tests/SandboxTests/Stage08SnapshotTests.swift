import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// What is made of layers when they are unpacked.
    @Suite("Stage 8, snapshots") struct Stage08SnapshotTests {
        private static let userNamespace = [
            "--uid-map", "0:200000:65536", "--gid-map", "0:200000:65536",
        ]
        private static let script = """
            cd /layers && n=1 && while test -e $n; do cat $n; echo; n=$((n + 1)); done
            cat /top; test -e /gone && echo gone; ls /hidden
            """

        @Test("A container sees every layer of its image, however many", arguments: [4, 130, 400])
        func seesAllLayers(_ count: Int) throws {
            let state = try place().state
            let words = try ImageMaker(state: state).make("deep", layerCount: count)
            for options in [[], Self.userNamespace] {
                let got = try runImage("deep", options, Self.script)
                #expect(got.lines == words + ["\(count - 1)"], "\(got)")
            }
            #expect(remains(in: state).isEmpty)
        }

        @Test("A kernel that does not know fsopen, or lowerdir+, gets short names for the layers")
        func usesShortNames() throws {
            let words = try ImageMaker(state: place().state).make("deep", layerCount: 100)
            for fault in ["fsopen:error=ENOSYS", "fsconfig:error=EINVAL"] {
                let trace = try place().directory + "/trace"
                let got = try run(
                    [
                        "strace", "-f", "-s", "4096", "-o", trace, "-e",
                        "trace=mount,fsopen,fsconfig",
                        "-e",
                        "inject=" + fault, Products.hull, "run", "--rm", "--network", "none",
                        "deep", "sh", "-c", Self.script,
                    ], seconds: 60)
                #expect(got.lines == words + ["99"], "\(got)")
                let calls = try Observed.read(trace)
                #expect(calls.contains("lowerdir=0:1:2:3:"), "\(calls)")
            }
        }

        @Test("More layers than the kernel stacks are refused in a line that says so")
        func refusesTooMany() throws {
            let (first, other) = (try place().rootfs(), try place().makeDirectory("other"))
            try ImageMaker(state: place().state).make(
                "deep", layers: [first] + Array(repeating: other, count: 500))
            let got = try runImage("deep", [], "true")
            expectOneLine(got, code: 125, naming: "501", "E2BIG")
        }

        @Test("What --explain=shell prints mounts many layers as well")
        func explains() throws {
            let words = try ImageMaker(state: place().state).make("deep", layerCount: 60)
            let told = try runImage("deep", ["--explain=shell"], "true")
            let script = told.errors.split(separator: "\n")
            let first = try #require(
                script.firstIndex { $0.contains("/lower") && $0.hasPrefix("cd ") })
            let last = try #require(script.firstIndex { $0.hasPrefix("mount -t overlay") })
            let place = try place().makeDirectory("by-hand")
            let directory = script[first].dropFirst("cd ".count).dropLast("/lower".count)
            let commands = script[first...last].joined(separator: "\n")
                .replacing(directory, with: place)
            let got = try run([
                "unshare", "--mount", "sh", "-euc",
                """
                mkdir -p \(place)/lower \(place)/upper \(place)/work \(place)/merged
                \(commands)
                cat \(place)/merged/layers/59 \(place)/merged/layers/1
                """,
            ])
            #expect(got.output == words[58] + words[0], "\(got)")
        }

        @Test("Two containers share the layers, and neither sees what the other writes")
        func sharesLayers() throws {
            let state = try place().state
            _ = try ImageMaker(state: state).make("shared", layerCount: 4)
            #expect(try runImage("shared", [], "true").code == 0)
            let before = try fingerprint(of: state + "/snapshots")
            let word = Place.randomWord()
            let first = try Program(
                command("shared", [], "echo \(word) > /top; rm /layers/1; echo ready; read x"),
                input: .pipe)
            try first.waitForOutput("ready")
            let second = try runImage("shared", [], "cat /top; ls /layers")
            #expect(second.lines == ["3", "1", "2", "3"], "\(second)")
            first.closeInput()
            try first.wait()
            #expect(try fingerprint(of: state + "/snapshots") == before)
        }

        @Test("A snapshot that was not synced before the machine was started anew is made again")
        func remakes() throws {
            let state = try place().state
            let words = try ImageMaker(state: state).make("lost", layerCount: 3)
            let script = "cat /layers/1 /layers/2"
            #expect(try runImage("lost", [], script).output == words.joined())
            // As a power cut leaves it: the names are there and the content is not.
            for earlier in [true, false] {
                for snapshot in try snapshots(in: state) {
                    if earlier { try place().write("earlier", to: snapshot + "/boot") }
                    for file in ["/fs/layers/1", "/fs/layers/2"] { truncate(snapshot + file, 0) }
                }
                // Of this boot nobody doubts them; and what was made again has been synced.
                let got = try runImage("lost", [], script)
                #expect(got.output == (earlier ? words.joined() : ""), "\(got)")
                for snapshot in try snapshots(in: state) {
                    #expect(access(snapshot + "/synced", F_OK) == 0)
                }
            }
            #expect(try names(in: state + "/snapshots/unpacking") == ["lock"])
        }

        @Test("Many may find at once that a snapshot has to be made again")
        func remakesOnce() throws {
            let state = try place().state
            let words = try ImageMaker(state: state).make("lost", layerCount: 12)
            #expect(try runImage("lost", [], "true").code == 0)
            for snapshot in try snapshots(in: state) {
                try place().write("earlier", to: snapshot + "/boot")
                truncate(snapshot + "/fs/top", 0)
            }
            let running = try (0..<8).map { _ in
                try Program(command("lost", [], "cat /top /layers/11"))
            }
            for one in running {
                let got = try one.wait(60)
                #expect(got.output == "11\n" + words[10], "\(got)")
            }
            #expect(try names(in: state + "/snapshots/unpacking") == ["lock"])
        }

        private func snapshots(in state: String) throws -> [String] {
            try names(in: state + "/snapshots").filter { $0.count == 64 }
                .map { state + "/snapshots/" + $0 }
        }

        private func names(in directory: String) throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: directory)
        }

        private func command(_ image: String, _ options: [String], _ script: String) -> [String] {
            [Products.hull, "run", "--rm", "-i", "--network", "none"] + options
                + [image, "/bin/sh", "-c", script]
        }

        private func runImage(
            _ image: String, _ options: [String], _ script: String
        ) throws -> Outcome {
            try run(command(image, options, script), seconds: 60)
        }
    }
}
