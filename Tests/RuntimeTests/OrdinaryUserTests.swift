import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// Containers of who is not the machine's root.
    @Suite(
        "Ordinary users",
        .except(.crun, because: "on a hybrid host it is started behind an unmount, which is root's")
    )
    struct OrdinaryUserTests {
        @Test("`spec --rootless` is a container that an ordinary user runs, with nothing to help")
        func runs() throws {
            let bundle = try UserBundle(script: "id -u; cat /proc/self/uid_map; echo x >/dev/null")
            let outcome = try bundle.call(["run", "--bundle", bundle.directory, bundle.id])
            #expect(outcome.ending == .exited(0), "\(outcome)")
            #expect(outcome.lines.first == "0", "\(outcome)")
            #expect(
                outcome.lines.last?.split(separator: " ") == ["0", "\(bundle.user.id)", "1"],
                "\(outcome)")
            let state = try bundle.call(["state", bundle.id])
            #expect(state.code != 0, "left behind: \(state)")
        }

        @Test("A whole life: create, start, exec, kill and delete")
        func lives() throws {
            let bundle = try UserBundle(script: "echo started >/tmp/said; exec sleep 1000") {
                $0[at: "root/readonly"] = false
                $0[at: "process/oomScoreAdj"] = 500
                $0[at: "process/rlimits"] = [["type": "RLIMIT_NOFILE", "hard": 99, "soft": 77]]
            }
            let created = try bundle.detached(["create"])
            try #require(created.code == 0, "\(created)")
            defer { _ = try? bundle.call(["delete", "--force", bundle.id]) }
            let said = bundle.directory + "/rootfs/tmp/said"
            #expect(access(said, F_OK) != 0)
            #expect(try bundle.call(["start", bundle.id]).code == 0)
            try waitUntil("the process to start") { access(said, F_OK) == 0 }
            // What root of the container makes is the user's outside.
            #expect(try TestUser.owner(of: said) == bundle.user.id)
            let process = try bundle.process()
            #expect(try process.namespace("user") != Observed.host.namespace("user"))
            #expect(try process.status("Uid").first == "\(bundle.user.id)")
            #expect(
                try Observed.read("/proc/\(process.process)/oom_score_adj") == "500\n")

            let added = try bundle.call(
                ["exec", bundle.id, "sh", "-c", "id -u; readlink /proc/self/ns/pid; ulimit -n"])
            // Debian's runc leaves an added process the limits of its caller.
            let isRunc = Runtime.current == .runc
            let lines = isRunc ? Array(added.lines.prefix(2)) + ["77"] : added.lines
            #expect(lines == ["0", try process.namespace("pid"), "77"], "\(added)")

            #expect(try bundle.call(["kill", bundle.id, "KILL"]).code == 0)
            try waitUntil("it to end") {
                try bundle.call(["state", bundle.id]).output.contains("stopped")
            }
            let deleted = try bundle.call(["delete", bundle.id])
            #expect(deleted.code == 0, "\(deleted)")
            #expect(try bundle.call(["list", "--quiet"]).output.isEmpty)
        }

        @Test("Whether groups may be given up is known before a filter can forbid to ask")
        func keepsGroupsBehindFilter() throws {
            let bundle = try UserBundle(script: "exit 7") {
                $0[at: "process/noNewPrivileges"] = false
                $0[at: "linux/seccomp"] = [
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [
                        ["names": ["openat", "open", "setgroups"], "action": "SCMP_ACT_ERRNO"]
                    ],
                ]
            }
            let outcome = try bundle.call(["run", "--bundle", bundle.directory, bundle.id])
            #expect(outcome.ending == .exited(7), "\(outcome)")
        }

        @Test("Without --root, what is known of containers is in XDG_RUNTIME_DIR")
        func hasStateOfItsOwn() throws {
            let bundle = try UserBundle(script: "exec sleep 1000")
            let created = try bundle.detached(["run", "--detach"])
            try #require(created.code == 0, "\(created)")
            let state = bundle.user.home + "/\(Runtime.current.rawValue)/\(bundle.id)"
            if Runtime.current != .runc {
                // runc has it in a directory `runc` as well, under another name of the file.
                #expect(access(state, F_OK) == 0)
            }
            #expect(try bundle.call(["delete", "--force", bundle.id]).code == 0)
            #expect(access(state, F_OK) != 0)
        }

        @Test(
            "The ranges of /etc/subuid and /etc/subgid are mapped with the help of newuidmap",
            .enabled(if: access("/usr/bin/newuidmap", X_OK) == 0, "needs uidmap"))
        func mapsRanges() throws {
            let user = try TestUser(hasRange: true)
            let range = try #require(user.range)
            let bundle = try UserBundle(of: user, script: "cat /proc/self/uid_map; id -u") {
                let maps: JSON = [
                    ["containerID": 0, "hostID": .integer(Int(user.id)), "size": 1],
                    ["containerID": 1, "hostID": .integer(Int(range)), "size": 65536],
                ]
                $0[at: "linux/uidMappings"] = maps
                $0[at: "linux/gidMappings"] = maps
                $0[at: "process/user"] = ["uid": 33, "gid": 44]
            }
            let outcome = try bundle.call(["run", "--bundle", bundle.directory, bundle.id])
            #expect(outcome.ending == .exited(0), "\(outcome)")
            let words = outcome.lines.map { $0.split(separator: " ").map(String.init) }
            #expect(
                words == [["0", "\(user.id)", "1"], ["1", "\(range)", "65536"], ["33"]],
                "\(outcome)")
        }

        @Test("Ids that nobody has given the user are refused, and nothing stays")
        func refusesOthers() throws {
            let bundle = try UserBundle(script: "true") {
                $0[at: "linux/uidMappings"] = [["containerID": 0, "hostID": 0, "size": 65536]]
            }
            let outcome = try bundle.call(["run", "--bundle", bundle.directory, bundle.id])
            #expect(outcome.code != 0 && outcome.output.isEmpty, "\(outcome)")
            #expect(!outcome.errors.isEmpty, "\(outcome)")
            #expect(try bundle.call(["state", bundle.id]).code != 0)
        }

        @Test("Without a user namespace there is a reason why not")
        func needsUserNamespace() throws {
            let bundle = try UserBundle(script: "true") {
                $0[at: "linux/namespaces"] = .array(
                    ["pid", "ipc", "uts", "mount"].map(Configuration.namespace))
                $0[at: "linux/uidMappings"] = nil
                $0[at: "linux/gidMappings"] = nil
            }
            let outcome = try bundle.call(["run", "--bundle", bundle.directory, bundle.id])
            #expect(outcome.code != 0 && outcome.output.isEmpty, "\(outcome)")
            if Runtime.current != .crun {
                #expect(outcome.errors.contains("user namespace"), "\(outcome)")
            }
        }

        @Test("A cgroup that was asked for and cannot be made is an error, not left out")
        func needsAskedControlGroup() throws {
            let bundle = try UserBundle(script: "true") {
                $0[at: "linux/cgroupsPath"] = .string("/hull-test-" + Place.randomWord())
            }
            let outcome = try bundle.call(["run", "--bundle", bundle.directory, bundle.id])
            #expect(outcome.code != 0 && outcome.output.isEmpty, "\(outcome)")
        }

        @Test(
            "Root of a user namespace runs containers, with and without one of their own",
            arguments: [true, false])
        func runsAsRootOfNamespace(hasOwn: Bool) throws {
            let bundle = try UserBundle(script: "id -u; cat /proc/self/uid_map") {
                if hasOwn {
                    let map: JSON = [["containerID": 0, "hostID": 0, "size": 1]]
                    $0[at: "linux/uidMappings"] = map
                    $0[at: "linux/gidMappings"] = map
                } else {
                    $0[at: "linux/uidMappings"] = nil
                    $0[at: "linux/gidMappings"] = nil
                    $0[at: "linux/namespaces"] = .array(
                        ["pid", "ipc", "uts", "mount", "cgroup"].map(Configuration.namespace))
                }
            }
            let outcome = try bundle.call(
                ["run", "--bundle", bundle.directory, bundle.id],
                // As podman is: root of a namespace with mounts of its own.
                behind: ["unshare", "--map-root-user", "--mount"])
            #expect(outcome.ending == .exited(0), "\(outcome)")
            #expect(outcome.lines.first == "0", "\(outcome)")
            let map = outcome.lines.last?.split(separator: " ").map(String.init)
            #expect(
                map == ["0", hasOwn ? "0" : "\(bundle.user.id)", "1"], "\(outcome)")
        }
    }
}

extension RuntimeSuite {
    /// With version 2 of cgroups alone, where a user can be given one: `labs/vm test` runs this.
    @Suite(
        "Ordinary users in the virtual machine",
        .enabled(if: VirtualMachine.isHere, "runs in labs/vm"))
    struct VirtualMachineOrdinaryUserTests {
        @Test(
            "In a cgroup that was delegated to it, an ordinary user's container has its limits",
            arguments: [true, false])
        func limits(hasNamespace: Bool) throws {
            let group = "/sys/fs/cgroup/hull-" + Place.randomWord()
            var user = try TestUser()
            user.preparation = """
                mkdir -p \(group)/caller
                echo +pids >/sys/fs/cgroup/cgroup.subtree_control
                echo +pids >\(group)/cgroup.subtree_control
                chown -R \(user.id) \(group)
                echo $$ >\(group)/caller/cgroup.procs
                """
            defer { for name in ["/caller", ""] { rmdir(group + name) } }
            let bundle = try UserBundle(
                of: user, script: "cat /proc/self/cgroup; grep -c ' cgroup2 ' /proc/mounts"
            ) {
                $0[at: "linux/cgroupsPath"] = .string(group.dropFirst(14) + "/own")
                $0[at: "linux/resources"] = ["pids": ["limit": 20]]
                if hasNamespace { return }
                $0.remove(from: "linux/namespaces") { $0[at: "type"] == "cgroup" }
            }
            let outcome = try bundle.call(["run", "--bundle", bundle.directory, bundle.id])
            #expect(outcome.ending == .exited(0), "\(outcome)")
            #expect(outcome.lines.last != "0", "\(outcome)")
            #expect(
                outcome.lines.first?.hasSuffix(hasNamespace ? "0::/" : "/own") == true,
                "\(outcome)")
        }
    }
}

/// A bundle of an ordinary user's, begun with `spec --rootless`, and the user's commands on it.
private final class UserBundle {
    let id = Place.randomWord()
    let user: TestUser
    let directory: String

    init(
        of given: TestUser? = nil, script: String, _ change: (inout JSON) throws -> Void = { _ in }
    ) throws {
        user = try given ?? TestUser()
        directory = user.home + "/bundle"
        let name = "home-\(user.name)/bundle"
        _ = try place().rootfs(
            name + "/rootfs",
            applets: ["sh", "cat", "echo", "grep", "id", "readlink", "sleep", "true", "ulimit"],
            hasProbe: false)
        // Nodes are root's to make; the user's image would have none.
        unlink(directory + "/rootfs/dev/null")
        try run(["chown", "-R", "\(user.id):\(user.id)", directory])
        let outcome = try call(["spec", "--rootless", "--bundle", directory])
        guard outcome.code == 0 else { throw ProgramFailure(description: "\(outcome)") }
        let file = directory + "/config.json"
        var config = try JSON(output: Observed.read(file))
        config[at: "process/terminal"] = false
        config[at: "process/args"] = .strings(["sh", "-c", script])
        // Those of this machine are mounted where only root gets by.
        config[at: "mounts"] = .array(
            (config[at: "mounts"]?.elements ?? []).filter {
                $0[at: "type"]?.string != "cgroup" || Runtime.current == .hull
            })
        try change(&config)
        try place().write(config.text(), to: file)
    }

    func call(_ words: [String], behind wrapper: [String] = []) throws -> Outcome {
        try user.run(
            wrapper + Runtime.bare(words), environment: ["XDG_RUNTIME_DIR": user.home])
    }

    /// A runtime whose container outlives it and keeps its standard files.
    func detached(_ words: [String]) throws -> Outcome {
        let script = "cd \"$1\"; shift; exec \"$@\" >output 2>errors"
        let command = Runtime.bare(words + ["--bundle", directory, id])
        var outcome = try user.run(
            ["sh", "-c", script, "sh", directory] + command,
            environment: ["XDG_RUNTIME_DIR": user.home])
        outcome.errors += (try? Observed.read(directory + "/errors")) ?? ""
        return outcome
    }

    func process() throws -> Observed {
        let state = try JSON(output: call(["state", id]).output)
        return Observed(process: pid_t(state[at: "pid"]?.number ?? 0))
    }
}
