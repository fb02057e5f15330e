import CLinux
import Glibc

/// Replaces the supplementary groups of this process. See `setgroups(2)`.
public func setGroups(_ groups: [gid_t], why: StaticString) throws(KernelError) {
    try systemCall(
        "setgroups",
        [.number(groups.count), .symbol("[\(join(groups.map { "\($0)" }, with: ", "))]")],
        on: "the supplementary groups", why: why
    ) { set_groups(groups.count, groups) }
}

/// Makes `group` the real, effective and saved group of this process. See `setresgid(2)`.
public func setGroup(_ group: gid_t, why: StaticString) throws(KernelError) {
    let number = Argument.number(Int(group))
    try systemCall("setresgid", [number, number, number], on: "group \(group)", why: why) {
        set_group_ids(group, group, group)
    }
}

/// Makes `user` the real, effective and saved user of this process. See `setresuid(2)`.
///
/// The kernel then forgets ``dieWithParent(why:)``, and hides /proc/self as that of a
/// set-user-ID program; see ``showInProc(why:)``.
public func setUser(_ user: uid_t, why: StaticString) throws(KernelError) {
    let number = Argument.number(Int(user))
    try systemCall("setresuid", [number, number, number], on: "user \(user)", why: why) {
        set_user_ids(user, user, user)
    }
}

/// Keeps the permitted capabilities when this process stops being root, until it executes a
/// program. See `prctl(2)`, `PR_SET_KEEPCAPS`.
public func keepCapabilities(why: StaticString) throws(KernelError) {
    try systemCall(
        "prctl", [.symbol("PR_SET_KEEPCAPS"), .number(1)], on: "PR_SET_KEEPCAPS", why: why
    ) { prctl_set(CInt(linux_PR_SET_KEEPCAPS), 1) }
}

/// Gives up all that set-user-ID bits and file capabilities could give, for this process and
/// all it will ever start. See `prctl(2)`, `PR_SET_NO_NEW_PRIVS`.
public func setNoNewPrivileges(why: StaticString) throws(KernelError) {
    try systemCall(
        "prctl",
        [
            .symbol("PR_SET_NO_NEW_PRIVS"), .number(1), .number(0), .number(0), .number(0),
        ],
        on: "PR_SET_NO_NEW_PRIVS", why: why
    ) { prctl_set(CInt(linux_PR_SET_NO_NEW_PRIVS), 1) }
}

/// Keeps other processes of the same user from looking into this one and from opening its
/// executable through /proc. See `prctl(2)`, `PR_SET_DUMPABLE`.
public func becomeUndumpable() {
    _ = prctl_set(CInt(linux_PR_SET_DUMPABLE), 0)
}

/// Lets go of the host's session keyring and its keys; a new, empty one takes its place.
/// See `keyctl(2)`, `KEYCTL_JOIN_SESSION_KEYRING`.
public func joinNewSessionKeyring(why: StaticString) throws(KernelError) {
    try systemCall(
        "keyctl", [.symbol("KEYCTL_JOIN_SESSION_KEYRING"), .null], on: "a new session keyring",
        why: why, shell: nil
    ) { join_new_session_keyring() }
}
