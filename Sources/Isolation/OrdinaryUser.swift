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
        let user = IDMap(inside: 0, outside: geteuid(), count: 1)
        let group = IDMap(inside: 0, outside: getegid(), count: 1)
        let names = [SubordinateIDs.userName(geteuid()), "\(geteuid())"].compactMap(\.self)
        let users = SubordinateIDs.ranges(in: SubordinateIDs.users, of: names)
        let groups = SubordinateIDs.ranges(in: SubordinateIDs.groups, of: names)
        guard !users.isEmpty, !groups.isEmpty, let userTool = HelperProgram("newuidmap"),
            let groupTool = HelperProgram("newgidmap")
        else { return try mapOnly(user, group, child) }
        // Set-user-ID programs that check the files and write the maps for us.
        let process = ["\(child.rawValue)"]
        try userTool.run(
            process + words([user] + SubordinateIDs.map(users, from: 1)),
            why: "the range that /etc/subuid gives this user: somebody privileged has to agree")
        try groupTool.run(
            process + words([group] + SubordinateIDs.map(groups, from: 1)),
            why: "the same for groups, by /etc/subgid")
    }
    // book: end map-ordinary

    /// Without a range: root is the user, and there is nobody else.
    private static func mapOnly(
        _ user: IDMap, _ group: IDMap, _ child: ProcessID
    ) throws(KernelError) {
        let directory = "/proc/\(child.rawValue)"
        try tellKernel(
            "deny", in: directory + "/setgroups", why: "the price of mapping a group oneself")
        try tellKernel(
            [user].text, in: directory + "/uid_map",
            why: "one id, one's own: nobody has to agree to that")
        try tellKernel([group].text, in: directory + "/gid_map", why: "and one's own group")
    }

    private static func words(_ maps: [IDMap]) -> [String] { maps.flatMap(\.words) }

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
