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
    private let takesFiles: Bool
    private var account = UserAccount(user: 0, group: 0, groups: [], home: "/")

    /// - Parameters:
    ///   - user: `USER` or `USER:GROUP`, each a name or a number.
    ///   - groups: names or numbers of more groups.
    ///   - takesFiles: whether files that are standard input, output or error become the user's.
    public init(
        _ user: String, additionalGroups groups: [String] = [], takesFiles: Bool = false
    ) {
        request = user
        additionalGroups = groups
        self.takesFiles = takesFiles
    }

    /// Where the user is at home, as the image says.
    public var environment: [String] { ["HOME=" + account.home] }

    /// Looks the user up and leaves the host's groups. After the root has changed: the names are
    /// the image's. Before any filter: whether groups may be left is read from a file.
    public func enter() throws(KernelError) {
        account = try UserAccount(request, additionalGroups: additionalGroups)
        try replaceGroups()
    }

    // book: begin user-seal
    /// Becomes the user: the group first, since only root may change it.
    public func seal(_ process: SealedProcess) throws(KernelError) {
        // The kernel forgets it with every change of ids; see prctl(2).
        let diesWithOwner = diesWithParent
        try setGroup(account.group, why: "the group that its files belong to")
        if account.user != 0 {
            try keepCapabilities(why: "what may be kept is decided next, not by the change of user")
            if process == .command { handOverStreams() }
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

    /// Standard input, output and error become the user's, who may want to open them by name:
    /// `/dev/stdout` is nothing else. Where that can't be, only this can't.
    private func handOverStreams() {
        for stream: CInt in 0...2 {
            var status = stat()
            guard fstat(stream, &status) == 0, status.st_uid != account.user,
                isOurs(stream, status)
            else { continue }
            _ = fchown(stream, account.user, status.st_gid)
        }
    }

    /// Not a device of the host's, such as the caller's terminal; one of the sandbox's own.
    private func isOurs(_ stream: CInt, _ status: stat) -> Bool {
        switch status.st_mode & S_IFMT {
        case S_IFIFO, S_IFSOCK: return true
        case S_IFREG: return takesFiles
        case S_IFCHR:
            var directory = stat()
            return isatty(stream) == 1 && stat("/dev/pts", &directory) == 0
                && status.st_dev == directory.st_dev
        default: return false
        }
    }
}
