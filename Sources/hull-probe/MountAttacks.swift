import CLinux
import Glibc
import Kernel

// Mounts: making them on the host, taking the sandbox's own away.

extension Attack {
    /// Mounts something that the host can see.
    ///
    /// A mount belongs to a mount namespace, not to a process or a root directory. Without a
    /// namespace of its own the sandbox changes everybody's files: think of an empty /etc. With
    /// one whose mounts are still *shared* the mount spreads back to the host; that is why
    /// everything is made private first.
    ///
    /// The tmpfs carries a random name, `hull-probe-…`, for the host to look for in its own
    /// mountinfo while the probe holds it for SECONDS. From inside it is judged by whether
    /// others live in this namespace: its top is another root than ours, or TARGET's mount is
    /// shared.
    static let hostMount = Attack(
        "host-mount", "TARGET [SECONDS]", "Mounts a tmpfs that shows on the host.",
        stoppedBy: .overlay
    ) { arguments throws(KernelError) in
        let name = "hull-probe-\(randomName())"
        let seconds = arguments.count > 1 ? Int32(arguments[1]) : 0
        guard let seconds, 0...3600 ~= seconds else { return .notTried("SECONDS is no number") }
        // A signal must not end the probe before it has unmounted.
        let signals = try SignalQueue(of: SignalSet([SIGHUP, SIGINT, SIGTERM]))
        try mount(
            name, on: arguments[0], type: "tmpfs", .readOnly, why: "Something easy to recognise.")
        let isShared = spreads(arguments[0])
        var waiting = pollfd(fd: signals.descriptor.number, events: Int16(POLLIN), revents: 0)
        poll(&waiting, 1, seconds * 1000)
        try unmount(arguments[0], lazily: true, why: "It was a proof, not a purpose.")
        if isShared { return .gotThrough("\(name) spread to the peers of \(arguments[0])") }
        if try isNamespaceOfOthers() { return .gotThrough("\(name) was in the host's mounts") }
        return .stopped("\(name) was mounted in a mount namespace of our own")
    }

    /// Takes away what masks a path, such as /proc/kcore or /sys/firmware.
    ///
    /// A mask is a mount on top: /dev/null on a file, an empty tmpfs on a directory. What was
    /// mounted can be unmounted by whoever has `CAP_SYS_ADMIN` in the mount namespace's user
    /// namespace. Taking the capability away stops it (`EPERM`); so does an inner user namespace,
    /// for which inherited mounts are locked (`EINVAL`). The mask is put back afterwards.
    static let unmask = Attack(
        "unmask", "PATH", "Unmounts what masks PATH, such as /proc/kcore.",
        stoppedBy: .privileges
    ) { arguments throws(KernelError) in
        let path = arguments[0]
        guard (try? isMountPoint(path)) == true else {
            return .notTried("nothing is mounted on \(path)")
        }
        let mask = try? copyOfMount(path)
        try unmount(path, lazily: true, why: "What is below shows again.")
        let found = content(of: path)
        if let mask = consume mask {
            _ = move_mount(mask.number, "", AT_FDCWD, path, UInt32(linux_MOVE_MOUNT_F_EMPTY_PATH))
        }
        return .gotThrough("\(path) without its mask: \(found ?? "nothing to see here")")
    }

    /// Mounts a second /proc, without the masks and read-only paths of the first.
    ///
    /// A mask hides a path, not what is behind it. Another mount of the same file system is
    /// another path. It takes `CAP_SYS_ADMIN`; in an inner user namespace the kernel also refuses
    /// it as long as the /proc that is visible has anything mounted on it (`EPERM`). The mount is
    /// attached nowhere and ends with the probe.
    static let freshProc = Attack(
        "fresh-proc", "", "Mounts another /proc, where nothing is masked or read-only.",
        stoppedBy: .privileges
    ) { _ throws(KernelError) in
        let proc = try makeProc()
        _ = try Descriptor.open("sys/kernel/domainname", O_WRONLY, at: proc.number)
        return .gotThrough("a second /proc has a writable sys/kernel/domainname")
    }

    /// Makes a read-only mount writable.
    ///
    /// Read-only is an attribute of a mount, and whoever may mount may change it. Without
    /// `CAP_SYS_ADMIN` nobody can (`EPERM`). The attribute is set again afterwards.
    static let remountWritable = Attack(
        "remount-writable", "PATH", "Remounts a read-only mount, such as /sys, for writing.",
        stoppedBy: .privileges
    ) { arguments throws(KernelError) in
        let path = arguments[0]
        guard isReadOnly(path) else { return .notTried("\(path) is not read-only") }
        let bit = UInt64(linux_MOUNT_ATTR_RDONLY)
        guard mount_setattr(AT_FDCWD, path, 0, 0, bit) == 0 else {
            throw KernelError("mount_setattr", path, .current)
        }
        defer { _ = mount_setattr(AT_FDCWD, path, 0, bit, 0) }
        // The file system below may have been read-only from the start.
        if isReadOnly(path) { return .stopped("the file system of \(path) is read-only itself") }
        return .gotThrough("\(path) was writable until the probe put it back")
    }
}

/// Whether the mount that holds `path` passes mounts on to other namespaces.
private func spreads(_ path: String) -> Bool {
    guard let full = try? resolvedPath(path), let mounts = try? mountTable() else { return false }
    // The last one that fits is the topmost; the probe's own tmpfs is private or shared with its
    // parent's peers alike.
    return mounts.last { $0.target == full }?.isShared ?? false
}

/// Whether the top of this mount namespace is another directory than our root.
private func isNamespaceOfOthers() throws(KernelError) -> Bool {
    // In a child, because who has climbed out cannot go back.
    guard let child = try forkProcess() else {
        if case .gotThrough = Attack.escapeChroot.run([]) { _exit(1) }
        _exit(0)
    }
    return try wait(for: child) == .exited(1)
}

private func copyOfMount(_ path: String) throws(KernelError) -> Descriptor {
    let tree = open_tree(
        AT_FDCWD, path, UInt32(linux_OPEN_TREE_CLONE | linux_OPEN_TREE_CLOEXEC))
    guard tree >= 0 else { throw KernelError("open_tree", path, .current) }
    return Descriptor(owning: tree)
}

/// What a masked path turns out to hold; nil for nothing.
private func content(of path: String) -> String? {
    if let names = try? namesInDirectory(path) {
        return names.isEmpty ? nil : "\(names.count) entries, such as \(names[0])"
    }
    guard let file = try? Descriptor.open(path, O_RDONLY | O_NONBLOCK),
        let bytes = try? file.read(upTo: 64), !bytes.isEmpty
    else { return nil }
    return "its first \(bytes.count) bytes can be read"
}

private func isReadOnly(_ path: String) -> Bool {
    var status = statvfs()
    return statvfs(path, &status) == 0 && status.f_flag & UInt(ST_RDONLY) != 0
}
