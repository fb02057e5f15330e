import Glibc
import Kernel

extension Doctor {
    /// Which version of cgroups, and which controllers each hierarchy has. See `cgroups(7)`.
    static func controlGroups() -> [Finding] {
        let hierarchies = mountedHierarchies()
        let named = hierarchies.filter { $0.version == 1 }.flatMap(\.controllers)
        let unified = hierarchies.first { $0.version == 2 }
        let mode: String
        switch (named.isEmpty, unified) {
        case (true, nil):
            return [
                .missing(
                    "cgroups", "none mounted",
                    costs: "no limits on memory, CPU, processes (stage 6)",
                    remedy: "sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup")
            ]
        case (true, _?): mode = "v2"
        case (false, nil): mode = "v1"
        case (false, _?): mode = "hybrid"
        }
        var parts: [String] = []
        if !named.isEmpty { parts.append("v1: " + named.joined(separator: " ")) }
        if let unified {
            let list = unified.controllers.joined(separator: " ")
            parts.append("v2 at \(unified.target): " + (list.isEmpty ? "no controllers" : list))
        }
        let all = Set(named + (unified?.controllers ?? []))
        return [.ok("cgroups", "\(mode); " + parts.joined(separator: "; ")), controllers(all)]
    }

    private static func controllers(_ all: Set<String>) -> Finding {
        let lacking = ["cpu", "memory", "pids"].filter { !all.contains($0) }
        if lacking.isEmpty { return .ok("cgroup controllers", "cpu, memory and pids") }
        let names = lacking.joined(separator: ", ")
        return .warning(
            "cgroup controllers", "without \(names)", costs: "no limits on \(names) (stage 6)",
            remedy: "boot with cgroup_enable=memory, or enable them in the parent's"
                + " cgroup.subtree_control")
    }
}

private struct Hierarchy {
    let version: Int
    let target: String
    let controllers: [String]
}

private func mountedHierarchies() -> [Hierarchy] {
    let text = (try? readText("/proc/self/mounts")) ?? ""
    return text.split(separator: "\n").compactMap { line in
        let words = line.split(separator: " ").map(String.init)
        guard words.count > 3 else { return nil }
        switch words[2] {
        case "cgroup2":
            let list = setting(words[1] + "/cgroup.controllers") ?? ""
            return Hierarchy(
                version: 2, target: words[1],
                controllers: list.split(separator: " ").map(String.init))
        case "cgroup":
            // Its options are those of the mount, the controllers, and a name without any.
            let known = Set(knownControllers())
            let list = words[3].split(separator: ",").map(String.init).filter(known.contains)
            return Hierarchy(version: 1, target: words[1], controllers: list)
        default: return nil
        }
    }
}

private func knownControllers() -> [String] {
    let lines = ((try? readText("/proc/cgroups")) ?? "").split(separator: "\n").dropFirst()
    return lines.compactMap { $0.split(separator: "\t").first.map(String.init) }
}
