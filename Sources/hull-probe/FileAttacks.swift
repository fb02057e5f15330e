import CLinux
import Glibc
import Kernel

// What a sandbox keeps away first: the host's files.

extension Attack {
    /// Opens a file of the host by its path.
    ///
    /// A path is looked up from the process's root directory. Without `chroot(2)` that is the
    /// host's, and only file permissions stand in the way, which root does not feel. With it, the
    /// same words lead to another place (`ENOENT`). Name a file that the root file system lacks,
    /// or say with EXPECTED how the host's one begins.
    static let readHost = Attack(
        "read-host", "FILE [EXPECTED]", "Reads a file by the path it has on the host.",
        stoppedBy: .chroot
    ) { arguments throws(KernelError) in
        try judgeContent(of: arguments[0], expected: arguments.dropFirst().first)
    }

    /// Writes a file of the host by its path.
    ///
    /// The same lookup as for reading. Name a file in a directory that only the host has: in one
    /// that the sandbox has too the write would succeed, in the sandbox's own tree.
    static let writeHost = Attack(
        "write-host", "FILE TEXT", "Writes a file by the path it has on the host.",
        stoppedBy: .chroot
    ) { arguments throws(KernelError) in
        let file = try Descriptor.open(arguments[0], O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        try file.write(arguments[1] + "\n")
        return .gotThrough("wrote \(arguments[0])")
    }

    /// Writes into the root file system and sees whether that is the image everyone shares.
    ///
    /// With a bare `chroot(2)` the file *is* the image's: the next sandbox finds it changed. On an
    /// overlay the first write copies the file up into a layer of the sandbox's own, and the lower
    /// layer has no path from inside: mountinfo gives its name away, but a name is looked up from
    /// the sandbox's root. TEXT is appended, so that a test can look for it on the host.
    static let writeLower = Attack(
        "write-lower", "FILE TEXT", "Writes into the image that other sandboxes share.",
        stoppedBy: .overlay
    ) { arguments throws(KernelError) in
        let file = try Descriptor.open(arguments[0], O_WRONLY | O_CREAT | O_APPEND, mode: 0o644)
        try file.write(arguments[1] + "\n")
        guard try isOnOverlay(file, arguments[0]) else {
            return .gotThrough("\(arguments[0]) is no copy: the image itself was written")
        }
        if let layer = reachableLayer() { return .gotThrough("the layer \(layer) can be opened") }
        return .stopped("the write went into an upper layer, and no layer has a path from here")
    }

    /// Writes to what should be read-only, such as /proc/sys or /sys.
    ///
    /// Those files set up the kernel itself, which the host and every sandbox share. Root may
    /// write them unless the mount is read-only (`EROFS`). Nothing changes: a file gets back the
    /// bytes it holds, a directory gets an entry that is taken away at once.
    static let writeReadOnly = Attack(
        "write-readonly", "PATH",
        "Writes to a read-only place, such as /proc/sys/kernel/domainname.",
        stoppedBy: .overlay
    ) { arguments throws(KernelError) in
        let path = arguments[0]
        switch fileType(path) {
        case .directory:
            let entry = "\(path)/.hull-probe-\(randomName())"
            try makeDirectory(entry, why: "A directory is written by a new entry.")
            rmdir(entry)
        case .regular: try rewrite(path)
        case .other, nil: return .notTried("\(path) is neither a file nor a directory")
        }
        return .gotThrough("\(path) can be written")
    }
}

/// Got through where the file can be read and begins as expected.
func judgeContent(of path: String, expected: String?) throws(KernelError) -> Outcome {
    let file = try Descriptor.open(path, O_RDONLY)
    let line = firstLine(try file.read(upTo: 4096))
    guard expected == nil || expected == line else {
        return .stopped("\(path) is another file here: \(line)")
    }
    return .gotThrough("\(path): \(line)")
}

/// Opens for writing what it has read, and writes it back.
private func rewrite(_ path: String) throws(KernelError) {
    let file = try Descriptor.open(path, O_WRONLY)
    // Some cannot be read, such as /proc/sysrq-trigger; opening them is proof enough.
    guard let held = try? readFile(path, limit: 1 << 16), !held.isEmpty else { return }
    do { try file.write(held) } catch { throw error.renamed("write", path) }
}

private func isOnOverlay(
    _ file: borrowing Descriptor, _ path: String
) throws(KernelError) -> Bool {
    let magic = file_system_magic(file.number)
    guard magic >= 0 else { throw KernelError("fstatfs", path, .current) }
    return magic == linux_OVERLAYFS_SUPER_MAGIC
}

/// A layer of an overlay that can be opened by the name mountinfo gives it.
private func reachableLayer() -> String? {
    guard let mounts = try? mountTable() else { return nil }
    let layers = mounts.filter { $0.type == "overlay" }.flatMap(\.options).flatMap { option in
        let parts = option.split(separator: "=", maxSplits: 1)
        let isLayer = parts.count == 2 && ["lowerdir", "upperdir"].contains(parts[0])
        return isLayer ? parts[1].split(separator: ":").map(String.init) : []
    }
    // A relative name means nothing once its maker has moved on.
    return layers.first { $0.hasPrefix("/") && fileType($0) == .directory }
}
