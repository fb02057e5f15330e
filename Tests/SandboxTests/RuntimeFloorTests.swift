import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// labs/floor-runtime.c says what the kernel has to do for the bundle of labs/bench runtime. Its
    /// tables are kept by hand.
    ///
    /// How an OCI runtime gets there is its own affair: what is compared is the container.
    @Suite("The floor of the bench's runtimes") struct RuntimeFloorTests {
        /// hull-runtime, or another that HULL_TEST_RUNTIME names, with a root of the test's own.
        private func runtime() throws -> [String] {
            let program =
                ProcessInfo.processInfo.environment["HULL_TEST_RUNTIME"]
                ?? Products.directory + "/hull-runtime"
            return [program, "--root", try place().directory + "/runtime"]
        }

        @Test("run: the floor's container is the runtime's", arguments: [true, false])
        func runsTheSame(isHybrid: Bool) throws {
            if isHybrid && !HostControlGroups.isHybrid { return }
            let rootfs = try place().rootfs()
            let command = ["/bin/sleep", "1000"]
            let bundle = try makeBundle(rootfs, command)
            let theirs = try Program(
                seen(
                    runtime() + ["run", "--bundle", bundle, Place.randomWord()], isHybrid))
            let floor = try Program(
                seen([try Floor.build(), "runtime", rootfs] + command, isHybrid))
            defer { for program in [theirs, floor] { end(program) } }
            let wanted = try Container(theirs.sandboxed(named: "sleep"))
            let made = try Container(floor.sandboxed(named: "sleep"))
            expectEqual(made, wanted)
        }

        @Test("exec: the floor's process is as confined as the runtime's")
        func executesTheSame() throws {
            let rootfs = try place().rootfs()
            let name = Place.randomWord()
            let bundle = try makeBundle(rootfs, ["/bin/sleep", "1000"])
            let container = try Program(
                seen(runtime() + ["run", "--bundle", bundle, name], false))
            defer { end(container) }
            let first = try container.sandboxed(named: "sleep")
            let group = try #require(try Container(first).groups["devices"])
            let theirs = try Program(
                seen(runtime() + ["exec", name, "/bin/tail", "-f", "/dev/null"], false))
            let floor = try Program(
                seen(
                    [
                        try Floor.build(), "exec", "\(first.process)", group, "/bin/tail", "-f",
                        "/dev/null",
                    ], false))
            defer { for program in [theirs, floor] { end(program) } }
            let wanted = try Container(theirs.sandboxed(named: "tail"))
            let made = try Container(floor.sandboxed(named: "tail"))
            expectEqual(made, wanted)
            #expect(made.groups == wanted.groups)
        }

        /// With version 2 of cgroups in sight or not.
        private func seen(_ command: [String], _ isHybrid: Bool) -> [String] {
            guard HostControlGroups.isHybrid, !isHybrid, let v2 = HostControlGroups.v2 else {
                return command
            }
            return HostControlGroups.without([v2], command)
        }

        /// A container ends with its first process, and what `run` or the floor left with it.
        private func end(_ program: Program) {
            if let first = try? program.sandboxed() { kill(first.process, SIGKILL) }
            _ = try? program.wait()
        }

        private func makeBundle(_ rootfs: String, _ command: [String]) throws -> String {
            let text = try Data(
                contentsOf: URL(fileURLWithPath: Floor.labs + "/bench-runtime.json"))
            var configuration = try #require(
                try JSONSerialization.jsonObject(with: text) as? [String: Any])
            var process = try #require(configuration["process"] as? [String: Any])
            var linux = try #require(configuration["linux"] as? [String: Any])
            process["args"] = command
            linux["cgroupsPath"] = "/hull-" + Place.randomWord()
            configuration["process"] = process
            configuration["linux"] = linux
            configuration["root"] = ["path": rootfs, "readonly": true]
            let bundle = try place().makeDirectory("bundle-" + Place.randomWord())
            try JSONSerialization.data(withJSONObject: configuration)
                .write(to: URL(fileURLWithPath: bundle + "/config.json"))
            return bundle
        }

        private func expectEqual(
            _ floor: Container, _ runtime: Container, _ location: SourceLocation = #_sourceLocation
        ) {
            #expect(runtime.facts.count > 40, "hardly anything was seen: \(runtime.facts)")
            for fact in runtime.facts.subtracting(floor.facts).sorted() {
                Issue.record("not so with the floor: \(fact)", sourceLocation: location)
            }
            for fact in floor.facts.subtracting(runtime.facts).sorted() {
                Issue.record("only so with the floor: \(fact)", sourceLocation: location)
            }
        }
    }
}

/// What the kernel says of a process in a container, without what differs from one to the next.
private struct Container {
    private(set) var facts: Set<String> = []
    /// Its group in each hierarchy of version 1, and of version 2 as "".
    private(set) var groups: [String: String] = [:]

    init(_ observed: Observed) throws {
        for mount in try observed.mounts() { facts.insert(Self.essence(of: mount)) }
        for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"] {
            facts.insert("\(field) \(try observed.status(field))")
        }
        for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user"] {
            let isOwn = try observed.namespace(kind) != Observed.host.namespace(kind)
            facts.insert("namespace \(kind) \(isOwn ? "of its own" : "of the host")")
        }
        let limits = try Observed.read("/proc/\(observed.process)/limits")
        facts.formUnion(
            limits.split(separator: "\n").filter { $0.contains("open files") }.map(String.init))
        for name in try FileManager.default.contentsOfDirectory(atPath: observed.path("/dev")) {
            // A link that leads nowhere where the kernel shows no memory.
            if name == "core", access("/proc/kcore", F_OK) < 0 { continue }
            let path = observed.path("/dev/" + name)
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            let link = (try? FileManager.default.destinationOfSymbolicLink(atPath: path)) ?? ""
            facts.insert("/dev/\(name) \(attributes[.posixPermissions] ?? "") \(link)")
        }
        try look(atGroupsOf: observed)
    }

    private mutating func look(atGroupsOf observed: Observed) throws {
        for line in try Observed.read("/proc/\(observed.process)/cgroup").split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            let path = String(fields[2])
            groups[String(fields[1])] = path
            facts.insert("group \(fields[1]) \(path == "/" ? "of the host" : "of its own")")
        }
        // The numbers of the rules are what counts, not their order.
        if let group = groups["devices"],
            let rules = try? Observed.read("/sys/fs/cgroup/devices\(group)/devices.list")
        {
            facts.formUnion(rules.split(separator: "\n").map { "device \($0)" })
        }
    }

    /// A mount as the container has it. Which device and which inode it is of is of no matter.
    private static func essence(of mount: Mount) -> String {
        // The root is another directory in each; where a file system shows as "/" it is new.
        var part = mount.target == "/" ? "" : mount.root
        if mount.type.hasPrefix("cgroup"), part != "/" { part = "a group" }
        // What is read-only is the mount: mount(2) says the same of the file system besides. An
        // empty mask has no room, by its size or by the number of its files.
        let options = mount.superOptions.filter {
            !$0.hasPrefix("inode") && !$0.hasPrefix("nr_") && !["ro", "rw", "size=0k"].contains($0)
        }
        return "mount \(mount.type) \(part) on \(mount.target) \(mount.options.sorted()) "
            + "\(options.sorted())"
    }
}
