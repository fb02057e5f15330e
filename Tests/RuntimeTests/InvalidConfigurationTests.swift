import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// config.json files that are no good, and those that only look so.
    @Suite("Configurations") struct InvalidConfigurationTests {
        @Test("Older and newer versions of the specification within the first are accepted")
        func acceptsVersions() throws {
            for version in ["1.0.0", "1.0.2", "1.0.2-dev", "1.1.0", "1.2.0", "1.2.1", "1.9.0"] {
                // Debian's runc and crun are older than some of these.
                if Runtime.current != .hull, version > "1.0.2-dev" { continue }
                let container = try Container(shell: "echo x") {
                    $0[at: "ociVersion"] = .string(version)
                }
                #expect(try container.output() == "x")
            }
        }

        @Test("Unknown members are passed over, as the specification says")
        func acceptsUnknown() throws {
            let container = try Container(shell: "echo x") {
                $0[at: "own"] = ["deep": [1, 2, 3]]
                $0[at: "process/own"] = "x"
                $0[at: "linux/own"] = true
            }
            #expect(try container.output() == "x")
        }

        @Test(
            "A configuration that lacks something is refused with one line",
            arguments: ["process/args", "process/cwd", "root", "ociVersion"])
        func lacks(path: String) throws {
            if Runtime.current != .hull, path != "process/args" { return }
            try expectRefused(Container { $0[at: path] = nil })
        }

        @Test("A configuration with a wrong value is refused with one line that names it")
        func isWrong() throws {
            let cases: [(String, JSON, String)] = [
                ("process/cwd", "relative", "cwd"), ("ociVersion", "2.0.0", "2.0.0"),
                ("ociVersion", "x", "ociVersion"), ("process/args", [], "args"),
                ("process/args", "sh", "args"), ("process/user", ["uid": -1, "gid": 0], "uid"),
                ("process/user", ["uid": "root", "gid": 0], "uid"),
                ("root/path", "/nosuch/at/all", "/nosuch/at/all"),
                ("linux/namespaces", [["type": "nosuch"]], "nosuch"),
                ("linux/namespaces", [["type": "pid"], ["type": "pid"]], "pid"),
                ("linux/rootfsPropagation", "sideways", "sideways"),
                ("process/rlimits", [["type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1]], "NOSUCH"),
                (
                    "process/rlimits", [["type": "RLIMIT_NOFILE", "soft": 9, "hard": 8]],
                    "RLIMIT_NOFILE"
                ),
                ("mounts", [["source": "x"]], "destination"),
                (
                    "mounts",
                    [
                        [
                            "destination": "/a", "type": "bind", "source": "/",
                            "options": ["bind", "idmap=uids=0-1-1"],
                        ]
                    ], "idmap=uids=0-1-1"
                ),
                ("linux/seccomp", ["defaultAction": "NOSUCH"], "NOSUCH"),
                ("linux/devices", [["path": "/dev/x", "type": "q"]], "linux.devices"),
                ("linux/timeOffsets", ["nosuch": ["secs": 1]], "nosuch"),
                ("linux/personality", ["domain": "NOSUCH"], "NOSUCH"),
                ("process/oomScoreAdj", 5000, "oomScoreAdj"),
                ("process/env", ["PATH=/bin", "NOTHING"], "NOTHING"),
                ("linux/sysctl", ["kernel.hostname": "x"], "kernel.hostname"),
            ]
            for (path, value, word) in cases {
                if Runtime.current != .hull { continue }
                try expectRefused(Container { $0[at: path] = value }, naming: word)
            }
        }

        @Test("What isn't JSON, isn't there or isn't a file is refused")
        func isNoConfiguration() throws {
            for text in ["", "{", "[]", "nonsense", "{\"ociVersion\": \"1.0.2\"", "\0"] {
                let container = try Container()
                try place().write(text, to: container.bundle + "/config.json")
                let outcome = try run(
                    Runtime.command(["run", "--bundle", container.bundle, container.id]))
                #expect(outcome.code != 0 && !outcome.errors.isEmpty, "\(outcome)")
            }
            let container = try Container()
            let missing = try run(
                Runtime.command(["run", "--bundle", container.bundle, container.id]))
            #expect(missing.code != 0 && missing.errors.contains("config.json"), "\(missing)")
            let nowhere = try place().directory + "/" + Place.randomWord()
            let outcome = try run(
                Runtime.command(["run", "--bundle", nowhere, container.id]))
            #expect(outcome.code != 0 && outcome.errors.contains(nowhere), "\(outcome)")
        }
    }
}
