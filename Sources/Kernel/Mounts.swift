import CLinux
import Glibc

/// How a file system is mounted. See `mount(2)`.
public struct MountFlags: OptionSet, Sendable {
    /// The kernel's bits.
    public let rawValue: UInt
    /// Takes the kernel's bits as they are.
    public init(rawValue: UInt) { self.rawValue = rawValue }
    private init(_ flag: Int) { rawValue = UInt(flag) }

    /// Nothing on it can be written.
    public static let readOnly = MountFlags(MS_RDONLY)
    /// Set-user-ID bits and file capabilities count for nothing.
    public static let noSetUID = MountFlags(MS_NOSUID)
    /// Device nodes on it open no devices.
    public static let noDevices = MountFlags(MS_NODEV)
    /// Nothing on it can be executed.
    public static let noExecution = MountFlags(MS_NOEXEC)
    /// Change the options of a mount that is there.
    public static let remount = MountFlags(MS_REMOUNT)
    /// Show a directory or a file that is mounted already in a second place.
    public static let bind = MountFlags(MS_BIND)
    /// The mounts below it too.
    public static let recursive = MountFlags(MS_REC)
    /// Mounts and unmounts neither come in from other namespaces nor go out.
    public static let `private` = MountFlags(MS_PRIVATE)
    /// Mounts and unmounts come in from other namespaces and do not go out.
    public static let slave = MountFlags(MS_SLAVE)
    /// Mounts and unmounts come in from other namespaces and go out.
    public static let shared = MountFlags(MS_SHARED)
    /// Private, and not to be bind-mounted.
    public static let unbindable = MountFlags(MS_UNBINDABLE)
    /// To another place.
    public static let move = MountFlags(MS_MOVE)
    /// Every access updates the access time.
    public static let strictAccessTime = MountFlags(MS_STRICTATIME)

    private static let names: [(MountFlags, String)] = [
        (.readOnly, "MS_RDONLY"), (.noSetUID, "MS_NOSUID"), (.noDevices, "MS_NODEV"),
        (.noExecution, "MS_NOEXEC"), (.remount, "MS_REMOUNT"), (.bind, "MS_BIND"),
        (.move, "MS_MOVE"), (.recursive, "MS_REC"), (.unbindable, "MS_UNBINDABLE"),
        (.private, "MS_PRIVATE"), (.slave, "MS_SLAVE"), (.shared, "MS_SHARED"),
        (.strictAccessTime, "MS_STRICTATIME"),
    ]

    /// The symbols, in the order of their bits, as strace shows them.
    public var symbols: String {
        let set = MountFlags.names.filter { contains($0.0) }.map(\.1)
        return set.isEmpty ? "0" : set.joined(separator: "|")
    }

    /// The word of mount(8), for `--make-`.
    fileprivate var propagationWord: String? {
        contains(.private)
            ? "private"
            : contains(.slave)
                ? "slave"
                : contains(.shared) ? "shared" : contains(.unbindable) ? "unbindable" : nil
    }

    /// The words of mount(8), for `-o`.
    fileprivate var words: [String] {
        let all: [(MountFlags, String)] = [
            (.remount, "remount"), (.move, "move"),
            (.bind, contains(.recursive) ? "rbind" : "bind"),
            (.readOnly, "ro"), (.noSetUID, "nosuid"), (.noDevices, "nodev"),
            (.noExecution, "noexec"), (.strictAccessTime, "strictatime"),
        ]
        return all.filter { contains($0.0) }.map(\.1)
    }
}

/// Mounts a file system, or changes a mount. See `mount(2)`.
/// - Throws: the kernel's refusal, with `target` as the object.
public func mount(
    _ source: String?, on target: String, type: String? = nil, _ flags: MountFlags = [],
    options: String? = nil, why: StaticString
) throws(KernelError) {
    try systemCall(
        "mount",
        [
            .optional(source), .text(target), .optional(type), .symbol(flags.symbols),
            .optional(options),
        ],
        on: target, why: why,
        shell: mountCommand(source, target, type, flags, options)
    ) { Glibc.mount(source, target, type, flags.rawValue, options) }
}

private func mountCommand(
    _ source: String?, _ target: String, _ type: String?, _ flags: MountFlags, _ options: String?
) -> String {
    if let word = flags.propagationWord {
        return "mount --make-\(flags.contains(.recursive) ? "r" : "")\(word) \(quoteShell(target))"
    }
    var words = ["mount"]
    if let type { words += ["-t", type] }
    let all = flags.words + (options.map { [$0] } ?? [])
    if !all.isEmpty { words += ["-o", quoteShell(all.joined(separator: ","))] }
    if let source { words.append(quoteShell(source)) }
    return (words + [quoteShell(target)]).joined(separator: " ")
}

/// Takes a mount away. See `umount2(2)`.
///
/// - Parameter lazily: out of sight at once, gone for good when its last user is (`MNT_DETACH`).
public func unmount(
    _ target: String, lazily: Bool = false, shell: String? = nil, why: StaticString
) throws(KernelError) {
    try systemCall(
        "umount2", [.text(target), .symbol(lazily ? "MNT_DETACH" : "0")], on: target, why: why,
        shell: shell ?? "umount \(lazily ? "-l " : "")\(quoteShell(target))"
    ) { umount2(target, lazily ? CInt(MNT_DETACH) : 0) }
}

/// Where the shell form of ``pivotRoot(why:)`` keeps the host's root: a shell
/// has no descriptors for directories, so it needs a name.
private let shellPutOld = ".host"

/// Makes the current directory, which has to be a mount, the root of the mount namespace.
///
/// The old root ends up stacked on the new one: still there for whoever holds a
/// descriptor of it, until ``detachOldRoot(why:)``. See `pivot_root(2)`, section NOTES,
/// "pivot_root(".", ".")".
public func pivotRoot(why: StaticString) throws(KernelError) {
    try systemCall(
        "pivot_root", [.text("."), .text(".")], on: "the current directory", why: why,
        shell: "mkdir -p \(shellPutOld); pivot_root . \(shellPutOld); cd /"
    ) { pivot_root(".", ".") }
}

/// Lets go of the root that ``pivotRoot(why:)`` left stacked on the new one.
///
/// The current directory has to be the old root. See `umount2(2)`.
public func detachOldRoot(why: StaticString) throws(KernelError) {
    try unmount(
        ".", lazily: true, shell: "umount -l /\(shellPutOld); rmdir /\(shellPutOld)", why: why)
}

/// A copy of the mounts at `path` of the host, attached nowhere yet.
///
/// No symbolic link on the way is followed, so the copy is of that very path. See `open_tree(2)`.
///
/// - Parameters:
///   - root: the host's root directory.
///   - name: where the shell form keeps the copy meanwhile, which has no descriptors for mounts.
public func cloneMountTree(
    _ path: String, beneath root: CInt, shellName name: String, why: StaticString
) throws(KernelError) -> Descriptor {
    let source = try Descriptor.openBeneath(path, CInt(linux_O_PATH), at: root)
    let flags =
        linux_OPEN_TREE_CLONE | linux_OPEN_TREE_CLOEXEC | linux_AT_EMPTY_PATH | linux_AT_RECURSIVE
    let tree = try systemCall(
        "open_tree",
        [
            .number(Int(source.number)), .text(""),
            .symbol("OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_EMPTY_PATH|AT_RECURSIVE"),
        ],
        on: path, why: why, shell: bindCommand("/" + shellPutOld + path, name)
    ) { open_tree(source.number, "", UInt32(flags)) }
    return Descriptor(owning: tree)
}

private func bindCommand(_ source: String, _ name: String) -> String {
    "test -d \(quoteShell(source)) && mkdir \(name) || : > \(name)"
        + "; mount -o rbind \(quoteShell(source)) \(name)"
}

/// Makes a tree from ``cloneMountTree(_:beneath:shellName:why:)`` read-only, with all below it.
/// See `mount_setattr(2)`.
public func makeReadOnly(_ tree: borrowing Descriptor, why: StaticString) throws(KernelError) {
    try changeMount(
        tree, MountChange(adding: .readOnly), isRecursive: true, on: "a volume", why: why)
}

/// Attaches a tree from ``cloneMountTree(_:beneath:shellName:why:)`` at `target`, symbolic
/// links followed. See `move_mount(2)`.
///
/// - Parameter readOnly: whether the shell form, too, has to make it so: mount(8) needs /proc.
public func attach(
    _ tree: borrowing Descriptor, on target: String, shellName name: String, readOnly: Bool,
    why: StaticString
) throws(KernelError) {
    try attach(tree, on: target, shell: moveCommand(name, target, readOnly), why: why)
}

/// Attaches a mount that is at no place as yet at `target`, symbolic links followed.
/// See `move_mount(2)`.
public func attach(
    _ tree: borrowing Descriptor, on target: String, shell: @autoclosure () -> String?,
    why: StaticString
) throws(KernelError) {
    let number = tree.number
    try systemCall(
        "move_mount",
        [
            .number(Int(number)), .text(""), .symbol("AT_FDCWD"), .text(target),
            .symbol("MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_SYMLINKS"),
        ],
        on: target, why: why, shell: shell()
    ) {
        move_mount(
            number, "", AT_FDCWD, target,
            UInt32(linux_MOVE_MOUNT_F_EMPTY_PATH | linux_MOVE_MOUNT_T_SYMLINKS))
    }
}

private func moveCommand(_ name: String, _ target: String, _ readOnly: Bool) -> String {
    let target = quoteShell(target)
    let move = "mount --move \(name) \(target); rmdir \(name) 2>&- || rm \(name)"
    return readOnly ? move + "; mount -o remount,bind,ro \(target)" : move
}

/// Whether `path` is where something is mounted. See `statx(2)`, `STATX_ATTR_MOUNT_ROOT`.
public func isMountPoint(_ path: String) throws(KernelError) -> Bool {
    let answer = is_mount_root(path)
    guard answer >= 0 else { throw KernelError("statx", path, .current) }
    return answer == 1
}
