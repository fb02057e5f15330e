import Kernel

/// No groups but the sandbox's own.
///
/// A process is in more groups than one, and hands them on: an administrator's `disk` or
/// `docker` opens doors of the host to whatever is started in a sandbox.
public struct SupplementaryGroups: Mechanism {
    /// As the narrator calls it.
    public let name = "groups"

    /// Nothing has to be chosen.
    public init() {}

    // book: begin groups-enter
    /// Leaves them all, where that is allowed.
    ///
    /// An ordinary user may not leave a group, because being in one can also *close* a door: a
    /// file with the mode 0707 is for everyone but its group. The kernel therefore takes
    /// `setgroups(2)` away before it lets such a user map a group. Then the groups stay; inside
    /// they are shown as 65534.
    public func enter() throws(KernelError) {
        if !isInFirstUserNamespace, try readText("/proc/self/setgroups").hasPrefix("deny") {
            return
        }
        try setGroups([], why: "the caller's groups are no business of the sandbox's")
    }
    // book: end groups-enter
}
