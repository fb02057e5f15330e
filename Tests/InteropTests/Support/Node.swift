import Foundation
import Testing

/// A machine of its own as far as namespaces make one: `labs/node`.
///
/// Whatever runs there, and every cgroup, mount and link that it made, goes with this value, or with
/// the test process, however that dies.
final class Node: Sendable {
    let place: Place
    /// The words before a command that is to run there.
    let entrance: [String]

    private let daemon: Daemon

    /// - Parameters:
    ///   - command: what runs there from the start, and with whose end the node goes.
    ///   - place: where its files are.
    init(
        _ name: String, in place: Place, running command: [String] = ["sleep", "infinity"]
    ) throws {
        self.place = place
        entrance = ["/bin/bash", labs + "/node", "--enter", place / "pid"]
        daemon = try Daemon(
            ["/bin/bash", labs + "/node", "--lifeline", "--name", name]
                + ["--pid-file", place / "pid"] + command,
            log: place / "log", endsItself: true)
        try wait("a node") { FileManager.default.fileExists(atPath: place / "pid") }
    }

    /// Waits for something that happens there.
    func wait(_ what: String, until isReady: () throws -> Bool) throws {
        try daemon.wait(for: what, until: isReady)
    }

    /// Runs a command there that has to work, and returns what it printed.
    @discardableResult
    func callAsFunction(
        _ command: String..., environment: [String: String] = [:], input: String = "/dev/null"
    ) throws -> String {
        try run(entrance + command, environment: environment, input: input)
    }

    /// What containers could leave there: groups from so deep on, mounts, processes of that name.
    func leftovers(_ name: String, groupsFrom depth: Int = 2) throws -> String {
        try self(
            "sh", "-c",
            """
            find /sys/fs/cgroup/ -mindepth \(depth) -type d
            wc -l </proc/self/mountinfo
            ps ax | grep -c \(name)
            """)
    }

    /// Whether a container of the node that writes to /count stops at `pause` and goes on at
    /// `resume`.
    func expectStandstill(
        of process: String, pause: () throws -> Void, resume: () throws -> Void
    ) throws {
        func size() throws -> String { try self("stat", "-c", "%s", "/proc/\(process)/root/count") }
        try waitUntil("counting") { (try? size()) ?? "0" != "0" }
        try pause()
        let stopped = try size()
        usleep(100_000)
        #expect(try size() == stopped)
        try resume()
        try waitUntil("counting again") { try size() != stopped }
    }

    /// The command of such a container.
    static let counting = ["sh", "-c", "while :; do echo x >>/count; sleep 0.02; done"]
}

/// Where the commands of `labs/` are.
let labs =
    URL(fileURLWithPath: #filePath).pathComponents.dropFirst().dropLast(4)
    .reduce("") { $0 + "/" + $1 } + "/labs"

/// The OCI runtime under test: ours, or the one that `HULL_TEST_RUNTIME` names.
let runtimeUnderTest =
    ProcessInfo.processInfo.environment["HULL_TEST_RUNTIME"] ?? Hull.products + "/hull-runtime"

/// The root file system that `labs/make-rootfs` makes.
func makeRoot(in place: Place) throws -> String {
    let root = place / "rootfs"
    try run(["/bin/bash", labs + "/make-rootfs", root])
    return root
}

/// An archive of it.
func makeRootArchive(in place: Place) throws -> String {
    let archive = place / "rootfs.tar"
    try run(["tar", "--numeric-owner", "-C", makeRoot(in: place), "-cf", archive, "."])
    return archive
}

/// An archive of an OCI layout with an image of that root file system and the tag 1: what `ctr`
/// takes.
func makeImageArchive(in place: Place, command: [String]) throws -> String {
    let root = try makeRoot(in: place)
    let (layout, archive) = (place / "layout", place / "image.tar")
    let words = command.map { "--config.cmd '\($0)'" }.joined(separator: " ")
    try shell(
        """
        umoci init --layout '\(layout)'
        umoci new --image '\(layout):1'
        umoci insert --image '\(layout):1' '\(root)' /
        umoci config --image '\(layout):1' \(words) \
            --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        tar -C '\(layout)' -cf '\(archive)' .
        """)
    return archive
}

/// Whether what is privileged can be: nobody hands on a capability that was taken from him.
func hasAllCapabilities() throws -> Bool {
    let mine = try shell("grep CapBnd: /proc/self/status | cut -f 2")
    let last = try shell("cat /proc/sys/kernel/cap_last_cap")
    return Int(mine, radix: 16) == Int(last).map { (1 << ($0 + 1)) - 1 }
}
