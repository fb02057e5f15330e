import Foundation
import OCISpec
import Testing

@testable import TestSupport

/// A container under test: a bundle with a random name and the commands on it.
final class Container {
    let id: String
    let bundle: String
    let rootfs: String
    var config: JSON
    /// The cgroup's path below each hierarchy's root.
    let cgroup: String
    /// What stands before `--bundle` or ID when it is created.
    var options: [String] = []
    /// What stands before the subcommand.
    var globalOptions: [String] = []

    /// A bundle like an engine's, changed by `change`.
    init(id: String = Place.randomWord(), _ change: (inout JSON) throws -> Void = { _ in }) throws {
        self.id = id
        let name = "bundle-" + Place.randomWord()
        bundle = try place().makeDirectory(name)
        // Few applets and no probe: the tests start hundreds of containers.
        rootfs = try place().rootfs(
            name + "/rootfs", applets: Container.applets, hasProbe: false)
        cgroup = Container.cgroupPrefix + Place.randomWord()
        config = Configuration.usual(cgroup: cgroup)
        try change(&config)
    }

    /// A container whose process is a shell with a script.
    convenience init(
        shell script: String, _ change: (inout JSON) throws -> Void = { _ in }
    ) throws {
        try self.init {
            $0[at: "process/args"] = .strings(["sh", "-c", script])
            try change(&$0)
        }
    }

    /// What the cgroups' paths of this run begin with.
    static let cgroupPrefix = "/" + (Place.prefix as NSString).lastPathComponent

    /// A container in a user namespace whose IDs begin at `base` outside.
    static func mapped(at base: Int, _ command: [String] = ["sleep", "1000"]) throws -> Container {
        let mappings: JSON = [["containerID": 0, "hostID": .integer(base), "size": 4096]]
        let container = try Container {
            $0[at: "process/args"] = .strings(command)
            $0.append(Configuration.namespace("user"), at: "linux/namespaces")
            $0[at: "linux/uidMappings"] = mappings
            $0[at: "linux/gidMappings"] = mappings
        }
        // The image belongs to root of the namespace, as an engine sees to.
        try TestSupport.run(
            ["chown", "-R", "--no-dereference", "\(base):\(base)", container.rootfs])
        chmod(container.bundle, 0o755)
        return container
    }

    /// Changes the configuration.
    func change(_ change: (inout JSON) throws -> Void) rethrows { try change(&config) }

    private static let applets = [
        "sh", "cat", "chmod", "chown", "cp", "dd", "echo", "env", "false", "grep", "head",
        "hostname", "id",
        "ip", "kill", "ln", "ls", "mkdir", "mknod", "mount", "mv", "od", "pwd", "readlink", "rm",
        "rmdir", "sed", "sleep", "stat", "stty", "sync", "tail", "test", "touch", "true", "tty",
        "ulimit", "umount", "uname", "wc", "xargs",
    ]

    /// Writes config.json.
    func save() throws { try place().write(config.text(), to: bundle + "/config.json") }

    // Commands -------------------------------------------------------------------

    /// Runs a subcommand on the container to its end.
    @discardableResult
    func call(_ words: String...) throws -> Outcome { try call(words + [id]) }

    private func call(
        _ words: [String], environment: [String: String] = [:], input: Input = .null
    ) throws -> Outcome {
        try TestSupport.run(
            Runtime.command(words, globally: globalOptions), environment: environment,
            input: input)
    }

    /// `run`: the container's whole life.
    func run(_ input: Input = .null, environment: [String: String] = [:]) throws -> Outcome {
        try save()
        return try call(
            ["run"] + options + ["--bundle", bundle, id], environment: environment, input: input)
    }

    /// `run` of a container that is to end with 0; gives what it wrote.
    func output(_ location: SourceLocation = #_sourceLocation) throws -> String {
        let outcome = try run()
        #expect(outcome.ending == .exited(0), "\(outcome)", sourceLocation: location)
        return outcome.line
    }

    /// `create`; what the container writes goes to ``log``.
    @discardableResult
    func create() throws -> Outcome { try detached(["create"]) }

    /// `run --detach`; what the container writes goes to ``log``.
    func runDetached() throws -> Outcome { try detached(["run", "--detach"]) }

    @discardableResult
    func start() throws -> Outcome { try call("start") }

    /// `exec` to its end.
    func exec(_ options: [String] = [], _ command: String..., input: Input = .null) throws
        -> Outcome
    {
        try call(["exec"] + options + [id] + command, input: input)
    }

    func kill(_ signal: String) throws -> Outcome { try call(["kill", id, signal]) }

    /// `delete --force`.
    @discardableResult
    func delete() throws -> Outcome { try call("delete", "--force") }

    /// What `state` says.
    func state() throws -> JSON {
        let outcome = try call("state")
        guard outcome.code == 0 else { throw ProgramFailure(description: "\(outcome)") }
        return try JSON(output: outcome.output)
    }

    func status() throws -> String { try state()[at: "status"]?.string ?? "none" }

    /// The container's process, by what `state` says.
    func process() throws -> Observed {
        Observed(process: pid_t(try state()[at: "pid"]?.number ?? 0))
    }

    /// Waits for a status.
    func wait(for status: String) throws {
        try waitUntil("\(id) to be \(status)", 5) { try self.status() == status }
    }

    /// What the container has written to standard output, where it was created or detached.
    var log: String { (try? Observed.read(bundle + "/output")) ?? "" }
    /// The same of standard error, which is the runtime's too.
    var errors: String { (try? Observed.read(bundle + "/errors")) ?? "" }

    /// A runtime whose container outlives it: the container holds its standard files, which can't
    /// be pipes of ours.
    private func detached(_ words: [String]) throws -> Outcome {
        try save()
        let command = try Runtime.command(
            words + options + ["--bundle", bundle, id], globally: globalOptions)
        let script = "cd \"$1\"; shift; exec \"$@\" >output 2>errors"
        var outcome = try TestSupport.run(["sh", "-c", script, "sh", bundle] + command)
        outcome.errors += errors
        return outcome
    }

    // Whole lives ----------------------------------------------------------------

    /// Runs the container detached, lets `body` look at its process, and deletes it.
    func running(
        _ location: SourceLocation = #_sourceLocation, _ body: (Observed) throws -> Void
    ) throws {
        let outcome = try runDetached()
        try #require(outcome.code == 0, "\(outcome)", sourceLocation: location)
        try finish { try body(try process()) }
    }

    /// Creates the container, lets `body` look at it, and deletes it.
    func created(
        _ location: SourceLocation = #_sourceLocation, _ body: (Observed) throws -> Void
    ) throws {
        let outcome = try create()
        try #require(outcome.code == 0, "\(outcome)", sourceLocation: location)
        try finish { try body(try process()) }
    }

    private func finish(_ body: () throws -> Void) throws {
        do { try body() } catch {
            try delete()
            throw error
        }
        let outcome = try delete()
        if outcome.code != 0 { throw ProgramFailure(description: "\(outcome)") }
    }

    /// Runs the probe's attack as the container's process.
    func attack(_ words: String...) throws -> Verdict {
        try place().addProbe(to: rootfs)
        config[at: "process/args"] = .strings(["/bin/hull-probe"] + words)
        return try Verdict(run())
    }

    /// A directory of the container's cgroup in the hierarchy of a controller.
    func cgroupDirectory(_ controller: String) -> String? {
        let mounts = HostControlGroups.v1.filter { $0.superOptions.contains(controller) }
        guard let mount = mounts.first ?? HostControlGroups.v2 else { return nil }
        return mount.target + cgroup
    }

    /// What a file of the container's cgroup says: version 1's name, or 2's where there is no 1.
    func limit(_ controller: String, _ v1: String, _ v2: String) throws -> String {
        let isV1 = HostControlGroups.v1.contains { $0.superOptions.contains(controller) }
        let directory = try #require(cgroupDirectory(controller))
        return try Observed.read(directory + "/" + (isV1 ? v1 : v2))
            .trimmingCharacters(in: .newlines)
    }
}

/// Expects that a configuration is refused: one line that names what is wrong, and nothing left.
func expectRefused(
    _ container: Container, naming word: String = "", _ location: SourceLocation = #_sourceLocation
) throws {
    let command = container.config[at: "process/args"]
    defer { container.config[at: "process/args"] = command }
    // What is accepted by mistake is to end by itself.
    if command == ["sleep", "1000"] { container.config[at: "process/args"] = ["true"] }
    let outcome = try container.run()
    #expect(outcome.code != 0, "accepted: \(outcome)", sourceLocation: location)
    #expect(outcome.output.isEmpty, "\(outcome)", sourceLocation: location)
    #expect(!outcome.errors.isEmpty, "says nothing: \(outcome)", sourceLocation: location)
    if Runtime.current == .hull {
        #expect(outcome.errors.lines == 1, "\(outcome)", sourceLocation: location)
        #expect(
            word.isEmpty || outcome.errors.contains(word), "does not name \(word): \(outcome)",
            sourceLocation: location)
    }
    let state = try TestSupport.run(Runtime.command(["state", container.id]))
    #expect(state.code != 0, "left behind: \(state)", sourceLocation: location)
    if state.code == 0 { try container.delete() }
}

extension String {
    /// How many lines it has.
    var lines: Int { split(separator: "\n").count }
}
