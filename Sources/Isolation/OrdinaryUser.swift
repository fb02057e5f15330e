import Glibc
import Kernel

/// What lets an ordinary user run everything here: it becomes root of a namespace of its own.
///
/// Mechanisms need root. A user namespace has one, and anyone may make a user namespace. So a
/// program that is not run by root first moves itself into one, together with a mount namespace
/// that belongs to it, and then goes on as if root had started it. Nothing else changes, neither
/// in the list of mechanisms nor in how state is kept and cleared away.
///
///     outside            inside
///     1000 (the user) ── 0
///     100000          ── 1        the range of /etc/subuid, where there is one
///     …                  …
///     165535          ── 65536
public enum OrdinaryUser {
    /// Whether this process is root only in the namespace that it has made for itself.
    ///
    /// The processes that become root have one thread and never get a second.
    nonisolated(unsafe) public private(set) static var isRootOfItsOwn = false

    // book: begin become-root
    /// Makes the namespace and enters it; does nothing where root is running this.
    ///
    /// The maps have to be written by somebody outside, so a child goes ahead and holds the
    /// namespace until that is done.
    public static func becomeRoot() throws(KernelError) {
        guard geteuid() != 0 else { return }
        Narrator.chapter("ordinary user", "become root")
        do throws(KernelError) {
            let holder = try NamespaceHolder(
                of: .user, shell: "# in: unshare --user --map-root-user --map-auto --mount sh",
                why: "anyone may make a user namespace, and has all capabilities in it")
            try map(holder.process)
            try enterNamespace(
                "/proc/\(holder.process.rawValue)/ns/user", .user,
                why: "from here on this program is root, as far as its own namespace reaches")
            try leaveNamespaces(for: .mount, why: "mounts that this root may change")
        } catch {
            throw error.advising(remedy(for: error))
        }
        isRootOfItsOwn = true
    }
    // book: end become-root

    // book: begin map-ordinary
    /// Maps the user to root and, where the administrator has provided for it, a range to the
    /// other ids.
    private static func map(_ child: ProcessID) throws(KernelError) {
        var users = [IDMap(inside: 0, outside: geteuid(), count: 1)]
        var groups = [IDMap(inside: 0, outside: getegid(), count: 1)]
        let names = [SubordinateIDs.userName(geteuid()), "\(geteuid())"].compactMap(\.self)
        let moreUsers = SubordinateIDs.ranges(in: SubordinateIDs.users, of: names)
        let moreGroups = SubordinateIDs.ranges(in: SubordinateIDs.groups, of: names)
        if !moreUsers.isEmpty, !moreGroups.isEmpty, HelperProgram("newuidmap") != nil,
            HelperProgram("newgidmap") != nil
        {
            users += SubordinateIDs.map(moreUsers, from: 1)
            groups += SubordinateIDs.map(moreGroups, from: 1)
        }
        try map(child, by: try IDMaps(users: users, groups: groups))
    }

    /// Writes the maps of a child's user namespace, as far as this user may: one's own id
    /// oneself, all others through programs that somebody privileged has provided.
    static func map(_ child: ProcessID, by maps: IDMaps) throws(KernelError) {
        let isAlone = maps.users.isOnly(geteuid()) && maps.groups.isOnly(getegid())
        if isAlone { return try mapOneself(maps, child) }
        // Set-user-ID programs that check /etc/subuid and /etc/subgid and write the maps for us.
        try helper("newuidmap").run(
            words(child, maps.users),
            why: "the range that /etc/subuid gives this user: somebody privileged has to agree")
        try helper("newgidmap").run(
            words(child, maps.groups), why: "the same for groups, by /etc/subgid")
    }
    // book: end map-ordinary

    /// Without a range: root is the user, and there is nobody else.
    private static func mapOneself(_ maps: IDMaps, _ child: ProcessID) throws(KernelError) {
        let directory = "/proc/\(child.rawValue)"
        try tellKernel(
            "deny", in: directory + "/setgroups", why: "the price of mapping a group oneself")
        try tellKernel(
            maps.users.text, in: directory + "/uid_map",
            why: "one id, one's own: nobody has to agree to that")
        try tellKernel(
            maps.groups.text, in: directory + "/gid_map", why: "and one's own group")
    }

    private static func helper(_ name: String) throws(KernelError) -> HelperProgram {
        if let program = HelperProgram(name) { return program }
        throw KernelError(
            "run", name, .noSuchFile,
            remedy: "Other ids than one's own take it: install uidmap, or map one's own only")
    }

    private static func words(_ child: ProcessID, _ maps: [IDMap]) -> [String] {
        ["\(child.rawValue)"] + maps.flatMap(\.words)
    }

    /// Which of the machine's switches is against it.
    private static func remedy(for error: KernelError) -> String {
        if error.operation == "run" {
            return error.remedy + ". Are newuidmap and newgidmap set-user-ID root, and the ranges"
                + " of /etc/subuid and /etc/subgid valid?"
        }
        let switches = [
            ("kernel.unprivileged_userns_clone", "0", "1"),
            ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
            ("user.max_user_namespaces", "0", "15000"),
        ]
        for (name, bad, good) in switches where setting(name) == bad {
            return "An ordinary user needs a user namespace, and this machine allows none: run it"
                + " as root, or `sudo sysctl -w \(name)=\(good)`."
        }
        if error.errno == .noSpace {
            return "There are too many user namespaces already:"
                + " `sudo sysctl -w user.max_user_namespaces=15000`."
        }
        return "An ordinary user needs a user namespace; `hull doctor` tells what is against it."
            + " Run it as root, or change that."
    }

    private static func setting(_ name: String) -> String? {
        let path = join(split(name, at: "."), with: "/")
        do { return split(try readText("/proc/sys/" + path), at: "\n").first } catch { return nil }
    }
}

extension [IDMap] {
    /// Whether `id` is all that is mapped.
    fileprivate func isOnly(_ id: UInt32) -> Bool {
        count == 1 && self[0].outside == id && self[0].count == 1
    }
}
