import Foundation
import Testing

/// The cgroups of a process, as the host's files show them.
struct ObservedGroups {
    /// One directory for each hierarchy that is mounted, and what of it is in the process's sight.
    let directories: [String]

    init(of process: pid_t) throws {
        let lines = try Observed.read("/proc/\(process)/cgroup").split(separator: "\n")
        let mounts = try Mount.list(of: "self").filter { $0.type.hasPrefix("cgroup") }
        directories = lines.compactMap { line in
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            let names = parts[1].split(separator: ",").map(String.init)
            let mount = mounts.first { mount in
                names.isEmpty
                    ? mount.type == "cgroup2"
                    : mount.type == "cgroup" && names.allSatisfy(mount.superOptions.contains)
            }
            return mount.map { $0.target + parts[2] }
        }
    }

    /// Those that Hull has made.
    var own: [String] { directories.filter(ObservedGroups.isOurs) }

    private static func isOurs(_ path: String) -> Bool {
        path.range(of: "/hull-[0-9a-f]{12}$", options: .regularExpression) != nil
    }

    /// What a file says: version 1's where the host has that, else version 2's.
    func value(_ v1: String, _ v2: String) -> String? {
        for name in [v1, v2] {
            for directory in own {
                guard let text = try? Observed.read("\(directory)/\(name)") else { continue }
                return text.trimmingCharacters(in: .newlines)
            }
        }
        return nil
    }

    /// The value behind a key in a file of lines.
    func value(_ v1: String, _ v2: String, key: String) -> Int? {
        for line in (value(v1, v2) ?? "").split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, words[0] == key { return Int(words[1]) }
        }
        return nil
    }

    /// The cgroups of Hull's on the host that no living process holds.
    ///
    /// Others may run sandboxes meanwhile; they hold a lock on theirs.
    static func abandoned() -> [String] {
        let mounts = (try? Mount.list(of: "self").filter { $0.type.hasPrefix("cgroup") }) ?? []
        return mounts.flatMap { mount -> [String] in
            let path = mount.target
            let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
            return names.map { path + "/" + $0 }.filter { isOurs($0) && isAbandoned($0) }
        }
    }

    private static func isAbandoned(_ path: String) -> Bool {
        let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if directory < 0 { return false }
        defer { close(directory) }
        return flock(directory, LOCK_EX | LOCK_NB) == 0
    }
}

/// Expects that no cgroup is left of sandboxes that have ended, whoever ran them.
func expectNoAbandonedGroups(_ location: SourceLocation = #_sourceLocation) throws {
    // One that is just being made has no lock for a moment.
    try waitUntil("no abandoned cgroups: \(ObservedGroups.abandoned())", 2) {
        ObservedGroups.abandoned().isEmpty
    }
}

/// How this host has mounted cgroups.
enum HostControlGroups {
    private static let mounts =
        (try? Mount.list(of: "self").filter { $0.type.hasPrefix("cgroup") }) ?? []
    static let v1 = mounts.filter { mount in
        mount.type == "cgroup" && !mount.superOptions.contains { $0.hasPrefix("name=") }
    }
    static let v2 = mounts.first { $0.type == "cgroup2" }
    static let isHybrid = v2 != nil && !v1.isEmpty

    static func has(_ controller: String) -> Bool {
        if v1.contains(where: { $0.superOptions.contains(controller) }) { return true }
        let list = v2.flatMap { try? Observed.read($0.target + "/cgroup.controllers") } ?? ""
        return list.split(whereSeparator: \.isWhitespace).contains(Substring(controller))
    }

    /// A command that runs `command` where some of the mounts are not there. Nobody else sees it.
    static func without(_ hidden: [Mount], _ command: [String]) -> [String] {
        let unmount = hidden.map { "umount \($0.target) && " }.joined()
        return [
            "unshare", "-m", "--propagation", "private", "sh", "-c", unmount + "exec \"$@\"", "sh",
        ]
            + command
    }
}

/// A disk that is a file: the kernel treats it as any other.
final class LoopDisk {
    let path: String
    /// Its numbers, as `7:0`.
    let numbers: String

    /// nil where this machine has no loop devices.
    init?(_ mebibytes: Int) throws {
        let file = try place().write("", to: Place.randomWord() + ".img")
        truncate(file, off_t(mebibytes << 20))
        guard let made = try? run(["losetup", "--find", "--show", file]), made.code == 0 else {
            return nil
        }
        path = made.line
        let name = path.dropFirst("/dev/".count)
        numbers = try Observed.read("/sys/block/\(name)/dev").trimmingCharacters(in: .newlines)
    }

    deinit { _ = try? run(["losetup", "--detach", path]) }
}
