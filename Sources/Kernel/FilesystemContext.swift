import CLinux
import Glibc

/// A file system that is being put together: first what it is made of, then the mount.
///
/// mount(2) takes all options in one string, which has to fit into a page of memory. Here each
/// option is a call of its own, and as many as there are. See `fsopen(2)`, `fsconfig(2)`.
public struct FilesystemContext: ~Copyable {
    private let type: String
    private let context: Descriptor

    /// Nothing is chosen yet.
    /// - Throws: `ENOSYS` where the kernel is older than 5.2.
    public init(_ type: String, why: StaticString) throws(KernelError) {
        let opened = try systemCall(
            "fsopen", [.text(type), .symbol("FSOPEN_CLOEXEC")], on: type, why: why
        ) { fsopen(type, UInt32(linux_FSOPEN_CLOEXEC)) }
        self.type = type
        context = Descriptor(owning: opened)
    }

    /// Chooses `value` for `name`. The kernel takes up to 255 bytes.
    public borrowing func set(
        _ name: String, to value: String, why: StaticString
    ) throws(KernelError) {
        let number = context.number
        try systemCall(
            "fsconfig",
            [
                .number(Int(number)), .symbol("FSCONFIG_SET_STRING"), .text(name), .text(value),
                .number(0),
            ],
            on: value, why: why
        ) { fsconfig_set_string(number, name, value) }
    }

    /// Chooses something that has no value.
    public borrowing func set(_ name: String, why: StaticString) throws(KernelError) {
        let number = context.number
        try systemCall(
            "fsconfig",
            [.number(Int(number)), .symbol("FSCONFIG_SET_FLAG"), .text(name), .null, .number(0)],
            on: name, why: why
        ) { fsconfig_set_flag(number, name) }
    }

    /// Makes it as it was chosen.
    public borrowing func create(why: StaticString) throws(KernelError) {
        let number = context.number
        try systemCall(
            "fsconfig",
            [.number(Int(number)), .symbol("FSCONFIG_CMD_CREATE"), .null, .null, .number(0)],
            on: type, why: why
        ) { fsconfig_create(number) }
    }

    /// A mount of it with these attributes, at no place as yet. See `fsmount(2)`.
    public borrowing func mount(
        with attributes: MountAttributes, why: StaticString
    ) throws(KernelError) -> Descriptor {
        let number = context.number
        let mount = try systemCall(
            "fsmount",
            [.number(Int(number)), .symbol("FSMOUNT_CLOEXEC"), .symbol(attributes.symbols)],
            on: type, why: why
        ) {
            fsmount(
                number, UInt32(linux_FSMOUNT_CLOEXEC),
                UInt32(truncatingIfNeeded: attributes.rawValue))
        }
        return Descriptor(owning: mount)
    }

    /// The file system of an open mount, to be configured once more. See `fspick(2)`.
    public init(of mount: borrowing Descriptor, _ type: String, why: StaticString)
        throws(KernelError)
    {
        let number = mount.number
        let opened = try systemCall(
            "fspick",
            [
                .number(Int(number)), .text(""), .symbol("FSPICK_EMPTY_PATH|FSPICK_CLOEXEC"),
            ],
            on: type, why: why
        ) { fspick(number, "", UInt32(linux_FSPICK_EMPTY_PATH | linux_FSPICK_CLOEXEC)) }
        self.type = type
        context = Descriptor(owning: opened)
    }

    /// Changes it as it was chosen.
    public borrowing func reconfigure(why: StaticString) throws(KernelError) {
        let number = context.number
        try systemCall(
            "fsconfig",
            [.number(Int(number)), .symbol("FSCONFIG_CMD_RECONFIGURE"), .null, .null, .number(0)],
            on: type, why: why
        ) { fsconfig_reconfigure(number) }
    }

    /// What the kernel has to say about a call that failed; nil where it says nothing.
    public borrowing func complaint() -> String? {
        var text = [UInt8](repeating: 0, count: 512)
        let count = read(context.number, &text, text.count)
        // It begins with the kind of message, such as `e ` for an error.
        guard count > 2 else { return nil }
        let message = String(decoding: text[2..<count], as: UTF8.self)
        return message.hasSuffix("\n") ? String(message.dropLast()) : message
    }

    /// A mount of it, at no place as yet. See `fsmount(2)`.
    ///
    /// - Parameters:
    ///   - flags: of ``MountFlags`` the four that restrict.
    ///   - shell: what the shell form does for all of these calls.
    public borrowing func mount(
        _ flags: MountFlags = [], shell: @autoclosure () -> String? = nil, why: StaticString
    ) throws(KernelError) -> Descriptor {
        let number = context.number
        let attributes = flags.mountAttributes
        let mount = try systemCall(
            "fsmount",
            [.number(Int(number)), .symbol("FSMOUNT_CLOEXEC"), .symbol(attributes.symbols)],
            on: type, why: why, shell: shell()
        ) { fsmount(number, UInt32(linux_FSMOUNT_CLOEXEC), attributes.bits) }
        return Descriptor(owning: mount)
    }
}

/// A new file system without options that is mounted nowhere yet.
///
/// - Parameter flags: how it is going to be mounted; of ``MountFlags`` the four that restrict.
public func makeDetachedFilesystem(
    _ type: String, _ flags: MountFlags, shellName name: String, why: StaticString
) throws(KernelError) -> Descriptor {
    let context = try FilesystemContext(type, why: why)
    try context.create(why: "no options: made as it is")
    return try context.mount(
        flags, shell: "mkdir -p \(name); mount -t \(type) \(type) \(name)",
        why: "a mount of it, at no place as yet")
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
