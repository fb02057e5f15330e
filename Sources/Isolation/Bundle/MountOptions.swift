import Kernel

/// What the options of a mount ask for, sorted by the call that does it.
///
/// See runtime-spec, config.md, "Linux mount options".
struct MountOptions {
    /// How owners are to be shown.
    enum OwnerMapping {
        /// As they are.
        case none
        /// Mapped, on this mount.
        case mount
        /// Mapped, on those below it too.
        case tree
    }

    /// Whether a part of the host's file system is shown a second time.
    private(set) var isBind = false
    /// Whether the mounts below it are shown too.
    private(set) var isRecursive = false
    /// Whether a mount that is there is to be changed.
    private(set) var isRemount = false
    /// Whether a tmpfs begins with what it covers.
    private(set) var copiesUp = false
    /// How owners are to be shown.
    private(set) var ownerMapping = OwnerMapping.none
    /// What the mount itself is to let its users do.
    private(set) var attributes = MountChange()
    /// The same for the mounts below it too.
    private(set) var treeAttributes = MountChange()
    /// How it propagates, in the order in which it is to be asked for.
    private(set) var propagation: [MountFlags] = []
    /// For the file system itself; nil is a flag without a value.
    private(set) var data: [(name: String, value: String?)] = []

    /// All that are not a file system's own, sorted.
    static let names = [
        "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "idmap",
        "iversion", "lazytime", "loud", "mand", "noatime", "nodev", "nodiratime", "noexec",
        "noiversion", "nolazytime", "nomand", "norelatime", "nostrictatime", "nosuid",
        "nosymfollow", "private", "ratime", "rbind", "rdev", "rdiratime", "relatime", "remount",
        "rexec", "ridmap", "rnoatime", "rnodev", "rnodiratime", "rnoexec", "rnorelatime",
        "rnostrictatime", "rnosuid", "rnosymfollow", "ro", "rprivate", "rrelatime", "rro", "rrw",
        "rshared", "rslave", "rstrictatime", "rsuid", "rsymfollow", "runbindable", "rw",
        "shared", "silent", "slave", "strictatime", "suid", "symfollow", "sync", "tmpcopyup",
        "unbindable",
    ]

    /// Sorts `options`; those that are no one else's are the file system's own.
    init(_ options: [String], type: String) {
        if type == "bind" || type == "rbind" { isBind = true }
        for option in options { add(option) }
    }

    private mutating func add(_ option: String) {
        if addWord(option) { return }
        if let flags = RootPropagation.named(option) { return propagation.append(flags) }
        if change(&attributes, option) { return }
        if option.hasPrefix("r") && change(&treeAttributes, String(option.dropFirst())) { return }
        if Self.isForOthers(option) { return }
        if let sign = option.unicodeScalars.firstIndex(of: "=") {
            data.append((String(option[..<sign]), String(option[option.index(after: sign)...])))
        } else {
            data.append((option, nil))
        }
    }

    private mutating func addWord(_ option: String) -> Bool {
        switch option {
        case "bind": isBind = true
        case "rbind": (isBind, isRecursive) = (true, true)
        case "remount": isRemount = true
        case "tmpcopyup": copiesUp = true
        case "idmap": ownerMapping = .mount
        case "ridmap": ownerMapping = .tree
        default: return false
        }
        return true
    }

    /// The table of what mount_setattr(2) changes. Of two that contradict the later one counts.
    private func change(_ change: inout MountChange, _ option: String) -> Bool {
        switch option {
        case "ro": change.add(.readOnly)
        case "rw": change.remove(.readOnly)
        case "nosuid": change.add(.noSetUID)
        case "suid": change.remove(.noSetUID)
        case "nodev": change.add(.noDevices)
        case "dev": change.remove(.noDevices)
        case "noexec": change.add(.noExecution)
        case "exec": change.remove(.noExecution)
        case "nosymfollow": change.add(.noSymbolicLinks)
        case "symfollow": change.remove(.noSymbolicLinks)
        case "nodiratime": change.add(.noDirectoryAccessTime)
        case "diratime": change.remove(.noDirectoryAccessTime)
        case "noatime": change.choose(.noAccessTime)
        case "strictatime": change.choose(.strictAccessTime)
        // The kernel's own choice where there is no other.
        case "relatime", "atime", "nostrictatime", "norelatime": change.choose([])
        default: return false
        }
        return true
    }

    /// What means something to mount(8) alone, or nothing any more.
    private static func isForOthers(_ option: String) -> Bool {
        switch option {
        case "", "defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group",
            "_netdev", "nofail", "silent", "loud", "iversion", "noiversion":
            true
        default: option.hasPrefix("x-") || option.hasPrefix("comment=")
        }
    }
}

extension MountChange {
    fileprivate mutating func add(_ attribute: MountAttributes) {
        adding.insert(attribute)
        removing.remove(attribute)
    }

    fileprivate mutating func remove(_ attribute: MountAttributes) {
        adding.remove(attribute)
        removing.insert(attribute)
    }

    /// The access times are one choice among three: the whole of it is replaced.
    fileprivate mutating func choose(_ times: MountAttributes) {
        adding.subtract(.accessTimes)
        adding.formUnion(times)
        removing.formUnion(.accessTimes)
    }
}
