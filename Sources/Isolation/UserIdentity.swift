import CLinux
import Glibc
import Kernel

/// The user that the command runs as (`--user`). See `credentials(7)`.
///
/// Names are looked up in the sandbox's own /etc/passwd and /etc/group: to the kernel there
/// are only numbers, and the host's names for them mean nothing to an image.
public final class UserIdentity: Mechanism {
    /// As the narrator calls it.
    public let name = "user"
    private let request: String
    private let additionalGroups: [String]
    private var account = UserAccount(user: 0, group: 0, groups: [], home: "/")

    /// - Parameters:
    ///   - user: `USER` or `USER:GROUP`, each a name or a number.
    ///   - groups: names or numbers of more groups.
    public init(_ user: String, additionalGroups groups: [String] = []) {
        request = user
        additionalGroups = groups
    }

    /// Where the user is at home, as the image says.
    public var environment: [String] { ["HOME=" + account.home] }

    /// Looks the user up. After the root has changed: the names are the image's.
    public func enter() throws(KernelError) {
        account = try UserAccount(request, additionalGroups: additionalGroups)
    }

    // book: begin user-seal
    /// Becomes the user: groups first, since only root may change them.
    public func seal(_ process: SealedProcess) throws(KernelError) {
        // The kernel forgets it with every change of ids; see prctl(2).
        let diesWithOwner = diesWithParent
        try replaceGroups()
        try setGroup(account.group, why: "the group that its files belong to")
        if account.user != 0 {
            try keepCapabilities(why: "what may be kept is decided next, not by the change of user")
            if process == .command { handOverTerminal() }
        }
        try setUser(account.user, why: "from here on it counts as this user")
        // That the owner has not died in between is looked at before the command is executed.
        if diesWithOwner {
            try dieWithParent(why: "asked for again: the change of user has cancelled it")
        }
    }
    // book: end user-seal

    /// A user namespace whose map was written without privileges allows no change of groups;
    /// that is no trouble as long as none were asked for.
    private func replaceGroups() throws(KernelError) {
        do {
            try setGroups(account.groups, why: "the host's groups are none of the sandbox's")
        } catch  where error.errno == .notPermitted && isDenied {
            guard account.groups.allSatisfy({ $0 == account.group }) else {
                throw error.advising(
                    "This user namespace allows no groups: map a range of them (/etc/subgid).")
            }
        }
    }

    private var isDenied: Bool {
        do { return try readText("/proc/self/setgroups").hasPrefix("deny") } catch { return false }
    }

    /// A terminal of the sandbox's own becomes the user's, who may want to open it by name.
    private func handOverTerminal() {
        var device = stat()
        var directory = stat()
        guard isatty(0) == 1, fstat(0, &device) == 0, stat("/dev/pts", &directory) == 0,
            device.st_dev == directory.st_dev
        else { return }
        _ = fchown(0, account.user, device.st_gid)
    }
}
