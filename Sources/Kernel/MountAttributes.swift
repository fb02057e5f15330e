import CLinux
import Glibc

/// What a mount lets its users do, as the newer calls count it. See `mount_setattr(2)`.
public struct MountAttributes: OptionSet, Sendable {
    /// The kernel's bits.
    public let rawValue: UInt64
    /// Takes the kernel's bits as they are.
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    private init(_ bits: Int) { rawValue = UInt64(bits) }

    /// Nothing on it can be written.
    public static let readOnly = MountAttributes(Int(linux_MOUNT_ATTR_RDONLY))
    /// Set-user-ID bits and file capabilities count for nothing.
    public static let noSetUID = MountAttributes(Int(linux_MOUNT_ATTR_NOSUID))
    /// Device nodes on it open no devices.
    public static let noDevices = MountAttributes(Int(linux_MOUNT_ATTR_NODEV))
    /// Nothing on it can be executed.
    public static let noExecution = MountAttributes(Int(linux_MOUNT_ATTR_NOEXEC))
    /// No access updates the access time.
    public static let noAccessTime = MountAttributes(Int(linux_MOUNT_ATTR_NOATIME))
    /// Every access updates the access time.
    public static let strictAccessTime = MountAttributes(Int(linux_MOUNT_ATTR_STRICTATIME))
    /// No access to a directory updates its access time.
    public static let noDirectoryAccessTime = MountAttributes(Int(linux_MOUNT_ATTR_NODIRATIME))
    /// Symbolic links on it are not followed.
    public static let noSymbolicLinks = MountAttributes(Int(linux_MOUNT_ATTR_NOSYMFOLLOW))
    /// Owners are shown as a user namespace maps them.
    public static let mapsOwners = MountAttributes(Int(linux_MOUNT_ATTR_IDMAP))
    /// All bits of the choice between access times, which is made as a whole; none of them set
    /// is `relatime`.
    public static let accessTimes = MountAttributes(Int(linux_MOUNT_ATTR__ATIME))

    /// The symbols, joined as strace shows them.
    var symbols: String {
        let names: [(MountAttributes, String)] = [
            (.readOnly, "MOUNT_ATTR_RDONLY"), (.noSetUID, "MOUNT_ATTR_NOSUID"),
            (.noDevices, "MOUNT_ATTR_NODEV"), (.noExecution, "MOUNT_ATTR_NOEXEC"),
            (.accessTimes, "MOUNT_ATTR__ATIME"), (.noAccessTime, "MOUNT_ATTR_NOATIME"),
            (.strictAccessTime, "MOUNT_ATTR_STRICTATIME"),
            (.noDirectoryAccessTime, "MOUNT_ATTR_NODIRATIME"),
            (.mapsOwners, "MOUNT_ATTR_IDMAP"), (.noSymbolicLinks, "MOUNT_ATTR_NOSYMFOLLOW"),
        ]
        var rest = self
        var found: [String] = []
        for (attribute, name) in names where rest.isSuperset(of: attribute) {
            found.append(name)
            rest.subtract(attribute)
        }
        return found.isEmpty ? "0" : join(found, with: "|")
    }
}

/// What is to become different about a mount. See `mount_setattr(2)`.
public struct MountChange: Sendable, Equatable {
    /// What it gets.
    public var adding: MountAttributes = []
    /// What it loses.
    public var removing: MountAttributes = []
    /// One of ``MountFlags``'s four propagations, or none.
    public var propagation: MountFlags = []
    /// The user namespace that ``MountAttributes/mapsOwners`` takes, open.
    public var userNamespace: CInt = -1

    /// No change.
    public init() {}

    /// Adds these, and nothing else.
    public init(adding: MountAttributes) { self.adding = adding }

    /// Changes how mounts propagate, and nothing else.
    public init(propagation: MountFlags) { self.propagation = propagation }

    /// Whether there is nothing to do.
    public var isEmpty: Bool { adding.isEmpty && removing.isEmpty && propagation.isEmpty }

    var symbols: String {
        var parts: [String] = []
        if !adding.isEmpty { parts.append("attr_set=\(adding.symbols)") }
        if !removing.isEmpty { parts.append("attr_clr=\(removing.symbols)") }
        if !propagation.isEmpty { parts.append("propagation=\(propagation.symbols)") }
        if adding.contains(.mapsOwners) { parts.append("userns_fd=\(userNamespace)") }
        return "{\(join(parts, with: ", "))}"
    }
}

/// Changes an open mount, attached or not; what the change does not name stays as it is.
/// See `mount_setattr(2)`.
///
/// - Parameters:
///   - isRecursive: whether the mounts below it change too.
///   - path: what an error names.
public func changeMount(
    _ mount: borrowing Descriptor, _ change: MountChange, isRecursive: Bool = false,
    on path: String, why: StaticString
) throws(KernelError) {
    let number = mount.number
    try systemCall(
        "mount_setattr",
        [
            .number(Int(number)), .text(""),
            .symbol(isRecursive ? "AT_EMPTY_PATH|AT_RECURSIVE" : "AT_EMPTY_PATH"),
            .symbol(change.symbols),
        ],
        on: path, why: why
    ) {
        mount_setattr_of(
            number, isRecursive ? UInt32(linux_AT_RECURSIVE) : 0, change.adding.rawValue,
            change.removing.rawValue, UInt64(change.propagation.rawValue), change.userNamespace)
    }
}

/// A copy of the mount at `path`, attached nowhere yet. See `open_tree(2)`.
///
/// - Parameter isRecursive: whether the mounts below it are copied too.
public func cloneMount(
    _ path: String, isRecursive: Bool = false, why: StaticString
) throws(KernelError) -> Descriptor {
    let flags = linux_OPEN_TREE_CLONE | linux_OPEN_TREE_CLOEXEC
    let below = isRecursive ? linux_AT_RECURSIVE : 0
    let tree = try systemCall(
        "open_tree",
        [
            .symbol("AT_FDCWD"), .text(path),
            .symbol("OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC" + (isRecursive ? "|AT_RECURSIVE" : "")),
        ],
        on: path, why: why
    ) { open_tree(AT_FDCWD, path, UInt32(flags | below)) }
    return Descriptor(owning: tree)
}

/// A copy of what is mounted where `place` is open, attached nowhere yet. See `open_tree(2)`.
///
/// - Parameter path: what an error names.
public func cloneMount(
    at place: borrowing Descriptor, isRecursive: Bool = false, on path: String, why: StaticString
) throws(KernelError) -> Descriptor {
    let number = place.number
    let flags = linux_OPEN_TREE_CLONE | linux_OPEN_TREE_CLOEXEC | linux_AT_EMPTY_PATH
    let below = isRecursive ? linux_AT_RECURSIVE : 0
    let tree = try systemCall(
        "open_tree",
        [
            .number(Int(number)), .text(""),
            .symbol(
                "OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_EMPTY_PATH"
                    + (isRecursive ? "|AT_RECURSIVE" : "")),
        ],
        on: path, why: why
    ) { open_tree(number, "", UInt32(flags | below)) }
    return Descriptor(owning: tree)
}

/// Attaches a mount that is at no place as yet where `place` is open: no path is looked up, so
/// none can lead astray. See `move_mount(2)`, MOVE_MOUNT_T_EMPTY_PATH.
///
/// - Parameter path: what an error names.
public func attach(
    _ tree: borrowing Descriptor, at place: borrowing Descriptor, _ path: String,
    why: StaticString
) throws(KernelError) {
    let (from, to) = (tree.number, place.number)
    try systemCall(
        "move_mount",
        [
            .number(Int(from)), .text(""), .number(Int(to)), .text(""),
            .symbol("MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH"),
        ],
        on: path, why: why
    ) {
        move_mount(
            from, "", to, "",
            UInt32(linux_MOVE_MOUNT_F_EMPTY_PATH | linux_MOVE_MOUNT_T_EMPTY_PATH))
    }
}

/// Kinds of file systems that are told apart by number. See `statfs(2)`.
public enum FilesystemKind {
    /// The kernel's own view of processes, and nothing that looks like it.
    case proc
    /// The kernel's own view of devices.
    case sysfs
    /// Cgroups, version 2.
    case controlGroups
    /// Any other.
    case other

    /// The kind that an open file is on.
    public init(of file: borrowing Descriptor) {
        switch file_system_magic(file.number) {
        case Int(linux_PROC_SUPER_MAGIC): self = .proc
        case Int(linux_SYSFS_MAGIC): self = .sysfs
        case Int(linux_CGROUP2_SUPER_MAGIC): self = .controlGroups
        default: self = .other
        }
    }
}
