import CLinux
import Glibc

/// A new file system that is mounted nowhere yet. See `fsopen(2)`, `fsmount(2)`.
///
/// - Parameter flags: how it is going to be mounted; of ``MountFlags`` the four that restrict.
public func makeDetachedFilesystem(
    _ type: String, _ flags: MountFlags, shellName name: String, why: StaticString
) throws(KernelError) -> Descriptor {
    let opened = try systemCall(
        "fsopen", [.text(type), .symbol("FSOPEN_CLOEXEC")], on: type, why: why
    ) { fsopen(type, UInt32(linux_FSOPEN_CLOEXEC)) }
    let context = Descriptor(owning: opened)
    let number = context.number
    try systemCall(
        "fsconfig",
        [.number(Int(number)), .symbol("FSCONFIG_CMD_CREATE"), .null, .null, .number(0)],
        on: type, why: "no options: made as it is"
    ) { fsconfig_create(number) }
    let attributes = flags.mountAttributes
    let mount = try systemCall(
        "fsmount",
        [.number(Int(number)), .symbol("FSMOUNT_CLOEXEC"), .symbol(attributes.symbols)],
        on: type, why: "a mount of it, at no place as yet",
        shell: "mkdir -p \(name); mount -t \(type) \(type) \(name)"
    ) { fsmount(number, UInt32(linux_FSMOUNT_CLOEXEC), attributes.bits) }
    return Descriptor(owning: mount)
}

extension MountFlags {
    /// The same for the newer calls, which have numbers and names of their own for them.
    fileprivate var mountAttributes: (bits: UInt32, symbols: String) {
        let all: [(MountFlags, Int, String)] = [
            (.readOnly, Int(linux_MOUNT_ATTR_RDONLY), "MOUNT_ATTR_RDONLY"),
            (.noSetUID, Int(linux_MOUNT_ATTR_NOSUID), "MOUNT_ATTR_NOSUID"),
            (.noDevices, Int(linux_MOUNT_ATTR_NODEV), "MOUNT_ATTR_NODEV"),
            (.noExecution, Int(linux_MOUNT_ATTR_NOEXEC), "MOUNT_ATTR_NOEXEC"),
        ]
        let chosen = all.filter { contains($0.0) }
        let bits = chosen.reduce(0) { $0 | UInt32($1.1) }
        return (bits, chosen.isEmpty ? "0" : chosen.map(\.2).joined(separator: "|"))
    }
}

/// A copy of the mount at `path`, attached nowhere yet, without those below it. See `open_tree(2)`.
public func cloneMount(_ path: String, why: StaticString) throws(KernelError) -> Descriptor {
    let flags = linux_OPEN_TREE_CLONE | linux_OPEN_TREE_CLOEXEC
    let tree = try systemCall(
        "open_tree",
        [.symbol("AT_FDCWD"), .text(path), .symbol("OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC")],
        on: path, why: why
    ) { open_tree(AT_FDCWD, path, UInt32(flags)) }
    return Descriptor(owning: tree)
}

/// Has a detached mount show its files' owners as the user namespace in `namespace` maps them.
///
/// What belongs to user 0 on the disk belongs to the namespace's root through this mount, and
/// what that root writes through it belongs to user 0 on the disk. See `mount_setattr(2)`,
/// "ID-mapped mounts".
///
/// The mount becomes private, too. A copy of a shared mount is shared with it, and what is
/// mounted on the copy in a sandbox would appear on the host.
/// - Throws: `EINVAL` where the file system cannot do that.
public func mapOwners(
    of mount: borrowing Descriptor, as namespace: borrowing Descriptor, on path: String,
    why: StaticString
) throws(KernelError) {
    let number = mount.number
    let user = namespace.number
    try systemCall(
        "mount_setattr",
        [
            .number(Int(number)), .text(""), .symbol("AT_EMPTY_PATH"),
            .symbol("{attr_set=MOUNT_ATTR_IDMAP, propagation=MS_PRIVATE}"),
        ],
        on: path, why: why
    ) { mount_setattr_idmap(number, user, UInt64(MS_PRIVATE)) }
}
