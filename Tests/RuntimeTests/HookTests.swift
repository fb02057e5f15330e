import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// The programs that are run round a container.
    @Suite("Hooks") struct HookTests {
        private static let kinds = [
            "prestart", "createRuntime", "createContainer", "startContainer", "poststart",
            "poststop",
        ]

        /// A hook that adds a line to a file on the host: its kind and then what `more` writes.
        private func hook(_ kind: String, _ log: String, _ more: String = "") -> JSON {
            [
                "path": "/bin/sh",
                "args": .strings(["sh", "-c", "{ echo \(kind); \(more) :; } >> \(log)"]),
                "env": ["PATH=/usr/bin:/bin"],
            ]
        }

        @Test("All six kinds run in the order of the specification")
        func runsInOrder() throws {
            let log = try place().write("", to: "volume/log")
            let volume = try place().directory + "/volume"
            let container = try Container(shell: "echo program >> \(log)") {
                // Where the hooks inside see the same file by the same name.
                $0.append(Configuration.mount(volume, "bind", volume, ["bind"]), at: "mounts")
                for kind in HookTests.kinds {
                    $0[at: "hooks/" + kind] = [hook(kind, log), hook(kind + "2", log)]
                }
            }
            try container.created { (_) throws in
                // runc's poststart hooks come as early as this.
                let lines = try words(in: log).filter { !$0.hasPrefix("poststart") }
                let before = ["prestart", "createRuntime", "createContainer"]
                #expect(lines == before.flatMap { [$0, $0 + "2"] })
                #expect(try container.start().code == 0)
                try container.wait(for: "stopped")
            }
            // The program and poststart run side by side.
            let lines = try words(in: log).dropFirst(6)
            let inside = lines.filter { !$0.hasPrefix("poststart") }
            let last = ["poststop", "poststop2"]
            #expect(inside == ["startContainer", "startContainer2", "program"] + last)
            let outside = try words(in: log).filter { $0.hasPrefix("poststart") }
            #expect(outside == ["poststart", "poststart2"])
            #expect(lines.suffix(2) == ["poststop", "poststop2"])
        }

        private func words(in file: String) throws -> [String] {
            try Observed.read(file).split(separator: "\n").map(String.init)
        }

        @Test("A hook gets the container's state on standard input, its arguments and environment")
        func getsState() throws {
            let (word, note) = (Place.randomWord(), Place.randomWord())
            let place = try place()
            let container = try Container {
                $0[at: "annotations"] = ["org.example.note": .string(note)]
                for kind in ["prestart", "createRuntime", "poststart", "poststop"] {
                    let file = "\(place.directory)/\(kind)"
                    $0[at: "hooks/" + kind] = [
                        [
                            "path": "/bin/sh",
                            "args": .strings([
                                "own-name", "-c",
                                "cat > \(file); echo $0 $WORD $SECRET > \(file).words",
                            ]),
                            "env": .strings(["PATH=/usr/bin:/bin", "WORD=\(word)"]),
                        ]
                    ]
                }
            }
            setenv("SECRET", "of-the-host", 1)
            defer { unsetenv("SECRET") }
            var pid = 0
            try container.running { (process) throws in pid = Int(process.process) }
            for (kind, status) in [
                ("prestart", "created"), ("createRuntime", "created"), ("poststart", "running"),
                ("poststop", "stopped"),
            ] {
                let file = "\(place.directory)/\(kind)"
                let state = try JSON(output: Observed.read(file))
                #expect(state[at: "id"]?.string == container.id, "\(kind)")
                #expect(state[at: "bundle"]?.string == container.bundle, "\(kind)")
                #expect(state["annotations"]?["org.example.note"]?.string == note, "\(kind)")
                // runtime-spec, runtime.md, "State": created it is after step 2 of its life. runc
                // says `creating`.
                if Runtime.current != .runc { #expect(state[at: "status"]?.string == status) }
                if kind != "poststop" { #expect(state[at: "pid"]?.number == pid, "\(kind)") }
                let words = try Observed.read(file + ".words").split(separator: "\n")
                #expect(words.first == "own-name \(word)", "\(kind)")
            }
        }

        @Test(
            "A hook without an environment has that of who runs it: the runtime, or the container",
            .except(.crun, because: "it gives startContainer the runtime's"))
        func inheritsEnvironment() throws {
            let (word, own) = (Place.randomWord(), Place.randomWord())
            let volume = try place().makeDirectory("volume")
            let container = try Container {
                $0.append(
                    Configuration.mount("/volume", "bind", volume, ["bind"]), at: "mounts")
                $0.append(.string("OWN=" + own), at: "process/env")
                for (kind, place) in [("createRuntime", volume), ("startContainer", "/volume")] {
                    $0[at: "hooks/" + kind] = [
                        [
                            "path": "/bin/sh",
                            "args": .strings(["sh", "-c", "echo $SECRET,$OWN >\(place)/\(kind)"]),
                        ]
                    ]
                }
            }
            setenv("SECRET", word, 1)
            defer { unsetenv("SECRET") }
            try container.running { (_) throws in
                #expect(try Observed.read(volume + "/createRuntime") == word + ",\n")
                #expect(try Observed.read(volume + "/startContainer") == "," + own + "\n")
            }
        }

        @Test("createContainer starts in the root file system, as the host calls it")
        func startsInRoot() throws {
            let container = try Container(shell: "cat /here")
            container.config[at: "hooks/createContainer"] = [
                ["path": "/bin/sh", "args": ["sh", "-c", "pwd >here"]]
            ]
            #expect(try container.output() == container.rootfs)
        }

        @Test(
            "A poststart hook that fails is the end of the container",
            .except(.runc, .crun, because: "they leave it stopped, or running"))
        func failsAfterStart() throws {
            let log = try place().write("", to: "log")
            let container = try Container {
                $0[at: "hooks/poststart"] = [["path": "/bin/false"]]
                $0[at: "hooks/poststop"] = [hook("poststop", log)]
            }
            #expect(try container.create().code == 0)
            let outcome = try container.start()
            #expect(outcome.code != 0 && outcome.errors.contains("poststart"), "\(outcome)")
            #expect(try container.call("state").code != 0)
            #expect(try Observed.read(log) == "poststop\n")
        }

        @Test("createContainer and startContainer run in the container's namespaces")
        func runsInside() throws {
            let container = try Container(shell: "cat /volume/start; exec sleep 1000")
            let volume = try place().makeDirectory("volume")
            container.config.append(
                Configuration.mount("/volume", "bind", volume, ["bind"]), at: "mounts")
            // createContainer sees the host's files in the container's mount namespace.
            container.config[at: "hooks/createContainer"] = [
                [
                    "path": "/bin/sh",
                    "args": .strings([
                        "sh", "-c",
                        "/bin/readlink /proc/self/ns/mnt > \(volume)/create; /bin/readlink /proc/self/ns/uts >> \(volume)/create",
                    ]),
                ]
            ]
            container.config[at: "hooks/startContainer"] = [
                [
                    "path": "/bin/sh",
                    "args": .strings([
                        "sh", "-c",
                        "/bin/readlink /proc/self/ns/mnt > /volume/start; /bin/readlink /proc/self/ns/pid >> /volume/start",
                    ]),
                ]
            ]
            try container.running { (process) throws in
                let (mounts, names) = (
                    try process.namespace("mnt"), try process.namespace("uts")
                )
                #expect(try Observed.read(volume + "/create") == "\(mounts)\n\(names)\n")
                try waitUntil("the program") { container.log.hasSuffix("\n") }
                #expect(container.log == "\(mounts)\n\(try process.namespace("pid"))\n")
            }
        }

        @Test(
            "A hook that fails stops everything and leaves nothing",
            arguments: ["prestart", "createRuntime", "createContainer", "startContainer"])
        func fails(kind: String) throws {
            let log = try place().write("", to: "log")
            let container = try Container(shell: "touch /started") {
                $0[at: "hooks/" + kind] = [
                    ["path": "/bin/sh", "args": ["sh", "-c", "echo because >&2; exit 3"]]
                ]
                $0[at: "hooks/poststop"] = [hook("poststop", log)]
            }
            try expectRefused(container, naming: kind)
            #expect(access(container.rootfs + "/started", F_OK) != 0)
            #expect(access(container.cgroupDirectory("pids") ?? "", F_OK) != 0)
        }

        @Test("A hook that isn't there is a failure that names it")
        func isMissing() throws {
            let path = "/" + Place.randomWord()
            let container = try Container {
                $0[at: "hooks/createRuntime"] = [["path": .string(path)]]
            }
            try expectRefused(container, naming: path)
        }

        @Test("A hook that takes longer than its timeout is killed, and the container with it")
        func takesTooLong() throws {
            let container = try Container {
                $0[at: "hooks/createRuntime"] = [
                    ["path": "/bin/sleep", "args": ["sleep", "30"], "timeout": 1]
                ]
            }
            let start = Date()
            try expectRefused(container)
            #expect(Date().timeIntervalSince(start) < 10)
        }

        @Test("A failing poststart or poststop hook does not keep a container from ending")
        func failsLate() throws {
            let container = try Container(shell: "exit 0") {
                $0[at: "hooks/poststop"] = [["path": "/bin/false"]]
            }
            _ = try container.run()
            #expect(try container.call("state").code != 0)
        }

        @Test("A relative hook path and a negative timeout are refused")
        func refusesHooks() throws {
            for hook: JSON in [
                ["path": "bin/true"], ["path": ""], ["args": ["true"]],
                ["path": "/bin/true", "timeout": -1],
            ] {
                if Runtime.current != .hull { continue }
                try expectRefused(Container { $0[at: "hooks/prestart"] = [hook] })
            }
        }
    }
}
