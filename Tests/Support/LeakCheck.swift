import Foundation
import Testing

/// What of the machine's state a test may not change: taken before and after each.
///
/// A set of sentences, so that a difference says by itself what leaked.
struct Snapshot {
    let facts: Set<String>

    init() {
        facts = Snapshot.mounts().union(Snapshot.links()).union(Snapshot.processes())
            .union(Snapshot.rules()).union(Snapshot.controlGroups()).union(Snapshot.files())
    }

    /// Every mount of the host, whoever made it.
    private static func mounts() -> Set<String> {
        let lines = (try? Observed.read("/proc/self/mountinfo").split(separator: "\n")) ?? []
        return Set(
            lines.map { line in
                // Without the mount's number and its parent's, which differ for the same mount.
                "mount " + line.split(separator: " ").dropFirst(2).joined(separator: " ")
            })
    }

    /// Of our own network namespace: /sys may show another one's.
    private static func links() -> Set<String> {
        let lines = (try? Observed.read("/proc/self/net/dev").split(separator: "\n")) ?? []
        return Set(
            lines.dropFirst(2).compactMap { line in
                line.split(separator: ":").first.map {
                    "link " + $0.trimmingCharacters(in: .whitespaces)
                }
            })
    }

    /// Processes of ours and the namespaces they hold.
    ///
    /// The machine may be busy with other things, so only those count that run in another PID
    /// namespace than the tests, or that name a test's directory anywhere.
    private static func processes() -> Set<String> {
        var facts: Set<String> = []
        let home = try? Observed.host.namespace("pid")
        for name in names(in: "/proc") {
            guard let process = pid_t(name), process != getpid() else { continue }
            let one = Observed(process: process)
            // An orphan that has ended waits for the machine's init, which some containers lack.
            if !one.isAlive, (try? one.status("PPid").first) == "1" { continue }
            let space = try? one.namespace("pid")
            guard (space != nil && space != home) || mentionsPlace(process) else { continue }
            facts.insert(Observed.describe(process))
            for kind in ["mnt", "pid", "uts", "ipc", "net", "user", "cgroup", "time"] {
                guard let space = try? one.namespace(kind),
                    space != (try? Observed.host.namespace(kind))
                else { continue }
                facts.insert("namespace \(space) of process \(process)")
            }
        }
        return facts
    }

    private static func mentionsPlace(_ process: pid_t) -> Bool {
        for link in ["root", "cwd", "exe"] {
            let target = try? FileManager.default.destinationOfSymbolicLink(
                atPath: "/proc/\(process)/\(link)")
            if target?.contains(Place.prefix) == true { return true }
        }
        for file in ["cmdline", "environ"] {
            let text = try? Observed.read("/proc/\(process)/\(file)")
            if text?.contains(Place.prefix) == true { return true }
        }
        return false
    }

    private static func rules() -> Set<String> {
        guard access("/usr/sbin/nft", X_OK) == 0, geteuid() == 0,
            let listed = try? run(["/usr/sbin/nft", "list", "ruleset"])
        else { return [] }
        return Set(listed.lines.map { "nft rule \($0)" })
    }

    /// Control groups but those that a service manager makes and takes away by itself.
    private static func controlGroups() -> Set<String> {
        let mounts = (try? Mount.list(of: "self").filter { $0.type.hasPrefix("cgroup") }) ?? []
        // One by one: an enumerator does not cross into a mount.
        return Set(mounts.flatMap { controlGroups(below: $0.target) })
    }

    private static func controlGroups(below mount: String) -> [String] {
        let all = FileManager.default.enumerator(atPath: mount)
        var facts: [String] = []
        while let path = all?.nextObject() as? String {
            guard all?.fileAttributes?[.type] as? FileAttributeType == .typeDirectory else {
                continue
            }
            let isService = path.split(separator: "/").contains {
                $0.hasSuffix(".service") || $0.hasSuffix(".scope") || $0.hasSuffix(".slice")
            }
            let isMachine = path.contains("process_api")
            // A process that is in no namespace of ours is shown as 0: it's somebody else's.
            let members = (try? Observed.read("\(mount)/\(path)/cgroup.procs")) ?? ""
            let isForeign = members.split(separator: "\n").contains("0")
            if !isMachine && !isForeign && (!isService || path.contains("hull")) {
                facts.append("control group \(mount)/\(path)")
            }
        }
        return facts
    }

    /// What lies about where a program that leaves its sandbox would put things.
    ///
    /// The state is not among it: every test has its own, and ``remains(in:)`` looks into that.
    private static func files() -> Set<String> {
        var facts: Set<String> = []
        for directory in ["/", "/tmp", "/dev/shm", "/dev/mqueue"] {
            let ours = names(in: directory).filter { name in
                (directory + "/" + name).hasPrefix(Place.prefix) || directory == "/"
            }
            facts.formUnion(ours.map { "file \(directory)/\($0)" })
        }
        return facts
    }

    private static func names(in directory: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    }
}

/// What a state directory still holds of sandboxes that have ended.
func remains(in state: String) -> [String] {
    ["run/scratch", "run/mounts", "throwaway"].flatMap { name in
        let path = state + "/" + name
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.map { "file \(path)/\($0)" }
    }
}

/// Gives each test a place of its own and fails it for whatever it leaves on the machine.
struct LeakChecked: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let before = Snapshot()
        let place = try Place()
        do {
            try await Place.$current.withValue(place) { try await function() }
        } catch {
            clearAway(place)
            throw error
        }
        // Sandboxes may need a moment to be taken down; what then stays has leaked.
        let left = stays(1) { Set(remains(in: place.state)) }
        place.remove()
        let leaked = left.union(stays(2) { Snapshot().facts.subtracting(before.facts) })
        for fact in leaked.sorted() { Issue.record("left behind: \(fact)") }
        let lost = before.facts.subtracting(Snapshot().facts).filter { $0.hasPrefix("mount ") }
        for fact in lost.sorted() { Issue.record("taken away: \(fact)") }
        if !leaked.isEmpty { clearAway(place) }
    }

    /// What is there at every look for `seconds`; others on the machine may come and go.
    private func stays(_ seconds: Double, _ look: () -> Set<String>) -> Set<String> {
        var left = look()
        let deadline = Date(timeIntervalSinceNow: seconds)
        while !left.isEmpty && Date() < deadline {
            usleep(10_000)
            left.formIntersection(look())
        }
        return left
    }

    /// So that one test's leak is not the next one's.
    private func clearAway(_ place: Place) {
        let mounts = (try? Mount.list(of: "self")) ?? []
        for mount in mounts.reversed() where mount.target.hasPrefix(place.directory) {
            umount2(mount.target, Int32(MNT_DETACH))
        }
        place.remove()
    }
}
