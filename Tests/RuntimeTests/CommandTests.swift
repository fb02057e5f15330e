import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// What the commands print, and the options before them.
    @Suite("Commands") struct CommandTests {
        @Test("list shows containers as a table, as JSON and by their IDs")
        func lists() throws {
            let container = try Container()
            try container.running { (process) throws in
                let table = try run(Runtime.command(["list"])).lines
                #expect(table.count == 2, "\(table)")
                for word in [container.id, "\(process.process)", "running", container.bundle] {
                    #expect(table.last?.contains(word) == true, "\(table)")
                }
                let listed = try JSON(
                    output: run(Runtime.command(["list", "--format", "json"])).output)
                let one = try #require(listed.elements.first)
                #expect(listed.elements.count == 1)
                #expect(one[at: "id"]?.string == container.id)
                #expect(one[at: "pid"]?.number == Int(process.process))
                #expect(one[at: "status"]?.string == "running")
                #expect(one[at: "bundle"]?.string == container.bundle)
                #expect(one[at: "created"]?.string?.hasSuffix("Z") == true)
                #expect(one[at: "owner"]?.string == "root")
                #expect(
                    try run(Runtime.command(["list", "--quiet"])).output == container.id + "\n")
            }
            let empty = try run(Runtime.command(["list", "--format", "json"]))
            #expect(empty.code == 0, "\(empty)")
            #expect(try JSON(output: empty.output).elements.isEmpty, "\(empty)")
        }

        @Test("ps shows the container's processes by the host's numbers")
        func showsProcesses() throws {
            let container = try Container(shell: "sleep 1000 & sleep 1000 & wait")
            try container.running { (process) throws in
                try waitUntil("its children") { process.children.count == 2 }
                let outcome = try container.call("ps", "--format", "json")
                let numbers = try JSON(output: outcome.output).elements.compactMap(\.number)
                let all = [process.process] + process.children
                #expect(Set(numbers) == Set(all.map(Int.init)), "\(outcome)")
                let table = try container.call("ps")
                for one in all { #expect(table.output.contains("\(one)"), "\(table)") }
            }
        }

        @Test("spec writes a configuration that runs, once")
        func writesSpecification() throws {
            let container = try Container()
            let outcome = try run(Runtime.bare(["spec"]), directory: container.bundle)
            #expect(outcome.code == 0, "\(outcome)")
            var config = try JSON(output: Observed.read(container.bundle + "/config.json"))
            for path in ["ociVersion", "process/args", "root/path", "linux/namespaces", "mounts"] {
                #expect(config[at: path] != nil, "\(path)")
            }
            let again = try run(Runtime.bare(["spec"]), directory: container.bundle)
            #expect(again.code != 0, "\(again)")
            config[at: "process/args"] = ["echo", "runs"]
            config[at: "process/terminal"] = false
            config[at: "linux/cgroupsPath"] = .string(container.cgroup)
            container.config = config
            mkdir(container.rootfs + "/sys", 0o755)
            #expect(try container.output() == "runs")
        }

        @Test("features tells what the runtime can do", .needs(.features))
        func tellsFeatures() throws {
            let features = try JSON(output: run(Runtime.bare(["features"])).output)
            #expect(features[at: "ociVersionMin"]?.string == "1.0.0")
            #expect(features[at: "ociVersionMax"]?.string?.hasPrefix("1.") == true)
            let hooks = features[at: "hooks"]?.elements.compactMap(\.string) ?? []
            for kind in ["prestart", "createRuntime", "createContainer", "startContainer"] {
                #expect(hooks.contains(kind))
            }
            let namespaces = features[at: "linux/namespaces"]?.elements ?? []
            for kind in ["pid", "network", "mount", "ipc", "uts", "user", "cgroup"] {
                #expect(namespaces.contains(.string(kind)))
            }
            let options = features[at: "mountOptions"]?.elements ?? []
            for option in ["ro", "rbind", "rro", "tmpcopyup", "rslave"] {
                #expect(options.contains(.string(option)), "\(option)")
            }
            #expect(features[at: "linux/seccomp/enabled"] == true)
            #expect(features[at: "linux/cgroup/v1"] == true)
            let capabilities = features[at: "linux/capabilities"]?.elements ?? []
            #expect(capabilities.contains("CAP_CHOWN"))
        }

        @Test("--log takes the errors, as text and as JSON")
        func logs() throws {
            let file = try place().directory + "/log"
            let id = Place.randomWord()
            let outcome = try run(
                Runtime.command(["state", id], globally: ["--log", file, "--log-format", "json"]))
            #expect(outcome.code != 0)
            let line = try Observed.read(file).split(separator: "\n").last ?? ""
            let entry = try JSON(output: String(line))
            #expect(entry[at: "level"]?.string == "error", "\(line)")
            #expect(entry[at: "msg"]?.string?.isEmpty == false, "\(line)")
            #expect(entry[at: "time"]?.string?.contains("T") == true, "\(line)")
            if Runtime.current != .crun {
                #expect(entry[at: "msg"]?.string?.contains("does not exist") == true, "\(line)")
            }
            unlink(file)
            _ = try run(Runtime.command(["state", id], globally: ["--log", file]))
            #expect(try Observed.read(file).isEmpty == false)
        }

        @Test("A log that can't be written is told at once; --debug writes the call into it")
        func opensLog() throws {
            let container = try Container(shell: "exit 0")
            container.globalOptions = ["--log", "/nosuch/log"]
            let outcome = try container.run()
            #expect(outcome.code != 0, "\(outcome)")
            #expect(outcome.errors.contains("/nosuch/log"), "\(outcome)")
            let file = try place().directory + "/log"
            container.globalOptions = ["--debug", "--log", file]
            #expect(try container.run().code == 0)
            #expect(try Observed.read(file).contains("level=debug"))
        }

        @Test("An unknown command or option is refused; help and version are not")
        func refuses() throws {
            for words in [["nosuch"], ["--nosuch", "list"], ["list", "--nosuch"]] {
                if Runtime.current == .runc, words == ["nosuch"] { continue }
                let outcome = try run(Runtime.command(words))
                #expect(outcome.code != 0, "\(outcome)")
            }
            for words in [["--version"], ["--help"], ["run", "--help"]] {
                let outcome = try run(Runtime.bare(words))
                #expect(outcome.code == 0 && !outcome.output.isEmpty, "\(outcome)")
            }
            #expect(try run(Runtime.bare(["--version"])).output.contains("spec: 1."))
        }

        @Test("checkpoint and restore say that they aren't there")
        func hasNoCheckpoints() throws {
            guard Runtime.current == .hull else { return }
            for command in ["checkpoint", "restore"] {
                let outcome = try run(Runtime.command([command, Place.randomWord()]))
                #expect(outcome.code != 0 && outcome.errors.contains("not supported"), "\(outcome)")
            }
        }

        @Test("Without --root the state is where the runtime says")
        func hasDefaultRoot() throws {
            let container = try Container()
            try container.save()
            let directory = Runtime.current.defaultRoot
            let isNew = access(directory, F_OK) != 0
            let command = Runtime.bare([
                "run", "--detach", "--bundle", container.bundle, container.id,
            ])
            try run(["sh", "-c", "exec \"$@\" >/dev/null 2>&1", "sh"] + command)
            #expect(access("\(directory)/\(container.id)", F_OK) == 0)
            #expect(try run(Runtime.bare(["delete", "--force", container.id])).code == 0)
            #expect(access("\(directory)/\(container.id)", F_OK) != 0)
            if isNew { rmdir(directory) }
        }

        @Test("The bundle is the working directory where none is named")
        func usesWorkingDirectory() throws {
            let container = try Container(shell: "echo here")
            try container.save()
            let outcome = try run(
                Runtime.command(["run", container.id]), directory: container.bundle)
            #expect(outcome.output == "here\n", "\(outcome)")
        }
    }
}
