import CLinux
import Glibc

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
