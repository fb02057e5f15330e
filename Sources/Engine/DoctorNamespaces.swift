import CLinux
import Glibc
import Kernel

extension Doctor {
    static func kernelVersion() -> Finding {
        let check = "kernel"
        let release = setting("/proc/sys/kernel/osrelease") ?? ""
        let parts = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        guard parts.count == 2 else {
            return .warning(
                check, "version unknown: /proc is not readable", costs: "nothing known",
                remedy: "mount -t proc proc /proc")
        }
        let version = parts[0] * 1000 + parts[1]
        let remedy = "a distribution with Linux 5.12 or later (Debian 12, Ubuntu 22.04)"
        // clone3 5.3, openat2 5.6, mount_setattr 5.12
        if version >= 5012 { return .ok(check, "Linux \(release)") }
        if version >= 5006 {
            return .warning(
                check, "Linux \(release)", costs: "read-only volumes (mount_setattr, 5.12)",
                remedy: remedy)
        }
        return .missing(
            check, "Linux \(release)", costs: "openat2 (5.6): no volumes, no stage 3",
            remedy: remedy, isNeeded: true)
    }

    /// Each kind, made for real.
    static func namespaces(_ isRoot: Bool) -> [Finding] {
        kinds.map { kind in
            let check = "\(kind.name) namespace"
            guard access("/proc/self/ns/\(kind.file)", F_OK) == 0 else {
                return .missing(
                    check, "not in this kernel", costs: kind.use,
                    remedy: "a kernel with \(kind.option)=y", isNeeded: kind.isNeeded)
            }
            // An ordinary user gets the others inside it.
            let isNeeded = kind.isNeeded || kind.file == "user" && !isRoot
            let refusal = trial { () throws(KernelError) in
                try enterNamespaces(kind.flag, isRoot: isRoot)
            }
            guard let refusal else {
                return .ok(
                    check,
                    isRoot || kind.file == "user"
                        ? "made one" : "made one, as root of a user namespace")
            }
            return .missing(
                check, "\(refusal.meaning) (\(refusal.name))", costs: kind.use,
                remedy: remedy(for: refusal, kind, isRoot), isNeeded: isNeeded)
        }
    }

    /// What may keep an ordinary user from user namespaces, and so from rootless containers.
    static func userNamespaceLimits() -> [Finding] {
        let cost = "ordinary users cannot run containers (rootless, stage 5)"
        let switches = limits.compactMap { limit -> Finding? in
            guard let value = setting("/proc/sys/" + limit.file) else { return nil }
            let name = limit.file.split(separator: "/").joined(separator: ".")
            if limit.allows(value) { return .ok("user-namespace limit", "\(name) = \(value)") }
            return .warning(
                "user-namespace limit", "\(name) = \(value)", costs: cost,
                remedy: "sudo sysctl -w \(name)=\(limit.wanted)")
        }
        return switches
    }
}

private struct Kind {
    let name: String
    let file: String
    let flag: CInt
    let option: String
    let use: String
    let isNeeded: Bool
}

private let kinds = [
    Kind(
        name: "mount", file: "mnt", flag: CLONE_NEWNS, option: "CONFIG_NAMESPACES",
        use: "no root file system of its own (stage 3)", isNeeded: true),
    Kind(
        name: "pid", file: "pid", flag: CLONE_NEWPID, option: "CONFIG_PID_NS",
        use: "no processes of its own (stage 2)", isNeeded: true),
    Kind(
        name: "uts", file: "uts", flag: CLONE_NEWUTS, option: "CONFIG_UTS_NS",
        use: "no host name of its own (`hull run`)", isNeeded: true),
    Kind(
        name: "ipc", file: "ipc", flag: CLONE_NEWIPC, option: "CONFIG_IPC_NS",
        use: "no shared memory of its own (`hull run`)", isNeeded: true),
    Kind(
        name: "network", file: "net", flag: CLONE_NEWNET, option: "CONFIG_NET_NS",
        use: "no network of its own (`--network none`, stage 4)", isNeeded: true),
    Kind(
        name: "user", file: "user", flag: CLONE_NEWUSER, option: "CONFIG_USER_NS",
        use: "no rootless containers (stage 5)", isNeeded: false),
    Kind(
        name: "cgroup", file: "cgroup", flag: CLONE_NEWCGROUP, option: "CONFIG_CGROUPS",
        use: "the sandbox sees the host's cgroup paths (stage 6)", isNeeded: false),
    Kind(
        name: "time", file: "time", flag: 0x80, option: "CONFIG_TIME_NS",
        use: "no clock offsets of its own (stage 5)", isNeeded: false),
]

private func remedy(for refusal: Errno, _ kind: Kind, _ isRoot: Bool) -> String {
    switch refusal {
    case .noSpace:
        "sudo sysctl -w user.max_\(kind.file)_namespaces=15000"
    case .invalidArgument: "a kernel with \(kind.option)=y"
    case .notPermitted where !isRoot: "sudo hull …; see also user-namespace limit"
    default: "see capabilities"
    }
}

private struct Limit {
    let file: String
    let wanted: String
    let allows: @Sendable (String) -> Bool
}

private let limits = [
    Limit(file: "user/max_user_namespaces", wanted: "15000") { $0 != "0" },
    // Debian's
    Limit(file: "kernel/unprivileged_userns_clone", wanted: "1") { $0 == "1" },
    // Ubuntu's, since 24.04
    Limit(file: "kernel/apparmor_restrict_unprivileged_userns", wanted: "0") { $0 == "0" },
]
