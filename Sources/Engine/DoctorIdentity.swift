import CLibcap
import Glibc
import Kernel

extension Doctor {
    static func user(_ isRoot: Bool) -> Finding {
        if isRoot { return .ok("user", "root") }
        return .ok("user", "user \(geteuid()), root of a user namespace of its own")
    }

    /// Root inside a container has fewer powers than root; this names the missing ones.
    static func capabilities(_ isRoot: Bool) -> Finding {
        let check = "capabilities"
        guard let set = cap_get_proc() else {
            return .warning(check, "cannot be read", costs: "nothing known", remedy: "see dmesg")
        }
        defer { cap_free(UnsafeMutableRawPointer(set)) }
        let missing = wanted.filter { !holds($0.capability, in: set) }
        if missing.isEmpty { return .ok(check, "all that Hull uses") }
        if !isRoot && missing.count == wanted.count {
            return .ok(check, "none, like any ordinary user; all in a user namespace")
        }
        let names = missing.map { name(of: $0.capability) }.joined(separator: ", ")
        let cost = missing.map { "\(name(of: $0.capability)): \($0.use)" }.joined(separator: "; ")
        let remedy =
            "start the container or the service this runs in with them (docker run --cap-add NAME)"
        if missing.contains(where: \.isNeeded) {
            return .missing(check, "without \(names)", costs: cost, remedy: remedy, isNeeded: true)
        }
        return .warning(check, "without \(names)", costs: cost, remedy: remedy)
    }

    /// Which ids a user may give to the users of its containers. See `subuid(5)`.
    static func subordinateIDs(_ isRoot: Bool) -> Finding {
        let check = "subordinate ids"
        if isRoot { return .ok(check, "not needed: root maps any id") }
        let names = ["\(getuid())", userName()].compactMap(\.self)
        let lacking = ["/etc/subuid", "/etc/subgid"].filter { file in
            let lines = ((try? readText(file)) ?? "").split(separator: "\n")
            return !lines.contains { line in names.contains { line.hasPrefix($0 + ":") } }
        }
        if lacking.isEmpty { return .ok(check, "in /etc/subuid and /etc/subgid") }
        let user = names.last ?? ""
        return .missing(
            check, "none in " + lacking.joined(separator: " and "),
            costs: "rootless containers have one user only (stage 5)",
            remedy: "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 \(user)")
    }
}

private struct Wanted {
    let capability: CInt
    let use: String
    let isNeeded: Bool
}

private let wanted = [
    Wanted(capability: CAP_SYS_ADMIN, use: "namespaces and mounts (stage 2 on)", isNeeded: true),
    Wanted(capability: CAP_SYS_CHROOT, use: "chroot (stage 1)", isNeeded: true),
    Wanted(capability: CAP_MKNOD, use: "the nodes of /dev (stage 3)", isNeeded: true),
    Wanted(capability: CAP_CHOWN, use: "images with their owners", isNeeded: true),
    Wanted(capability: CAP_FOWNER, use: "images with their modes", isNeeded: true),
    Wanted(capability: CAP_DAC_OVERRIDE, use: "files of other users", isNeeded: true),
    Wanted(capability: CAP_KILL, use: "stopping other users' processes", isNeeded: false),
    Wanted(capability: CAP_NET_ADMIN, use: "links, addresses, NAT (stage 4)", isNeeded: false),
    Wanted(capability: CAP_SETUID, use: "containers as another user (stage 5)", isNeeded: false),
    Wanted(capability: CAP_SETGID, use: "containers as another group (stage 5)", isNeeded: false),
    Wanted(
        capability: CAP_SYS_RESOURCE,
        use: "raising limits, protecting from the OOM killer (stage 6)",
        isNeeded: false),
    Wanted(capability: CAP_SETPCAP, use: "dropping capabilities (stage 7)", isNeeded: false),
    Wanted(
        capability: CAP_SETFCAP, use: "images with file capabilities (stage 8)", isNeeded: false),
]

private func holds(_ capability: CInt, in set: cap_t) -> Bool {
    var value = CAP_CLEAR
    return cap_get_flag(set, capability, CAP_EFFECTIVE, &value) == 0 && value == CAP_SET
}

private func name(of capability: CInt) -> String {
    guard let name = cap_to_name(capability) else { return "\(capability)" }
    defer { cap_free(name) }
    return String(cString: name).uppercased()
}

/// From /etc/passwd itself: the C library's lookup loads modules, which a static program cannot.
private func userName() -> String? {
    let lines = ((try? readText("/etc/passwd")) ?? "").split(separator: "\n")
    let fields = lines.map { $0.split(separator: ":", omittingEmptySubsequences: false) }
    return fields.first { $0.count > 2 && $0[2] == "\(getuid())" }.map { String($0[0]) }
}
