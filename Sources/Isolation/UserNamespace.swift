import Glibc
import Kernel

/// Users and groups of its own: root inside is nobody special outside.
///
/// Whoever is born in a new user namespace has every capability *in it*: over the namespaces
/// that were made with it, and over the ids that are mapped into it. To the rest of the machine
/// it is the user that its ids are mapped to. So this is the first of the mechanisms: the
/// namespaces of the others have to belong to this one. See `user_namespaces(7)`.
public struct UserNamespace: Mechanism {
    /// As the narrator calls it.
    public let name = "user namespace"
    /// A new user namespace.
    public let namespaces: Namespaces = .user
    private let maps: IDMaps

    /// A namespace whose ids are mapped like that.
    public init(_ maps: IDMaps) { self.maps = maps }

    // book: begin user-adopt
    /// Writes the maps, once and for all: until then the child's ids mean nothing.
    ///
    /// From outside, because it takes a privilege outside to give ids away.
    public mutating func adopt(_ child: ProcessID) throws(KernelError) {
        do {
            try tellKernel(
                maps.users.text, in: "/proc/\(child.rawValue)/uid_map",
                why: "which users inside are which outside")
            try tellKernel(
                maps.groups.text, in: "/proc/\(child.rawValue)/gid_map",
                why: "which groups inside are which outside")
        } catch {
            throw error.advising(
                "Ids can be mapped to those only that this program may use itself, and once.")
        }
    }
    // book: end user-adopt

    /// Before the first mount, so that what is made is root's.
    public func enter() throws(KernelError) { try becomeRootOfUserNamespace() }
}

// book: begin user-enter
/// Becomes the root of the user namespace that this process is in.
func becomeRootOfUserNamespace() throws(KernelError) {
    // Groups first: the user's change takes away the right to it.
    try SupplementaryGroups().enter()
    try setGroup(0, why: "until now it was a group that the map may not even know")
    try setUser(0, why: "root, of this namespace and of nothing else")
    try showInProc(why: "a change of ids hides /proc/self, even from the process itself")
}
// book: end user-enter

extension [IDMap] {
    /// As the kernel's files take it: a line for each.
    var text: String { join(map { join($0.words, with: " ") }, with: "\n") + "\n" }
}
