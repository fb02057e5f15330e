import CLinux
import Glibc

/// Copies a directory with everything in it: owners, modes, times, attributes, links, devices.
///
/// Where the file system can (btrfs, XFS), a file's content is shared until somebody writes to
/// it, and a copy costs no room. Sockets stay behind: they are somebody's, not content. What
/// overlayfs notes for itself and the machine's security labels are not copied either.
/// - Throws: `EEXIST` where `target` is there already; what was copied by then stays.
public func copyTree(
    _ source: String, to target: String, why: StaticString
) throws(KernelError) {
    try systemCall(
        "mkdir", [.text(target), .mode(0o700)], on: target, why: why,
        shell: "cp -a --reflink=auto \(quoteShell(source)) \(quoteShell(target))"
    ) { mkdir(target, 0o700) }
    let from = try Descriptor.open(source, O_RDONLY | O_DIRECTORY)
    let to = try Descriptor.open(target, O_RDONLY | O_DIRECTORY)
    var copy = TreeCopy(to: to)
    let here: FileName = [UInt8(ascii: ".")]
    try copy.copyEntries(of: from, to: to, path: [])
    try copyAttributes(of: here, try fileStatus(here, from), from: from, to: to)
}

/// Copies what is in one open directory into another. See ``copyTree(_:to:why:)``.
public func copyEntries(
    of from: borrowing Descriptor, into to: borrowing Descriptor
) throws(KernelError) {
    var copy = TreeCopy(to: to)
    try copy.copyEntries(of: from, to: to, path: [])
}

private struct TreeCopy: ~Copyable {
    private let root: CInt
    /// Where the first name of each file is that has several.
    private var first: [Inode: FileName] = [:]

    private struct Inode: Hashable {
        let device: dev_t
        let number: ino_t
    }

    init(to root: borrowing Descriptor) { self.root = root.number }

    mutating func copyEntries(
        of from: borrowing Descriptor, to: borrowing Descriptor, path: FileName
    ) throws(KernelError) {
        for name in try directoryEntries(from) {
            let path = path.isEmpty ? name : path + [UInt8(ascii: "/")] + name
            do { try copy(name, from: from, to: to, path: path) } catch {
                throw error.renamed("copy", error.operation == "copy" ? error.object : path.shown)
            }
        }
    }

    private mutating func copy(
        _ name: FileName, from: borrowing Descriptor, to: borrowing Descriptor, path: FileName
    ) throws(KernelError) {
        let status = try fileStatus(name, from)
        let type = status.st_mode & S_IFMT
        if type == S_IFSOCK { return }
        if type != S_IFDIR && status.st_nlink > 1 {
            let inode = Inode(device: status.st_dev, number: status.st_ino)
            if let other = first[inode] { return try link(other, as: name, in: to) }
            first[inode] = path
        }
        switch type {
        case S_IFDIR: try copyDirectory(name, from: from, to: to, path: path)
        case S_IFREG: try copyFile(name, size: status.st_size, from: from, to: to)
        case S_IFLNK: try copyLink(name, from: from, to: to)
        default:
            try check(
                name, name.withCName { mknodat(to.number, $0, status.st_mode, status.st_rdev) })
        }
        try copyAttributes(of: name, status, from: from, to: to)
    }

    private func link(
        _ other: FileName, as name: FileName, in directory: borrowing Descriptor
    ) throws(KernelError) {
        let (root, number) = (root, directory.number)
        let result = other.withCName { other in
            name.withCName { linkat(root, other, number, $0, 0) }
        }
        try check(name, result)
    }

    private mutating func copyDirectory(
        _ name: FileName, from: borrowing Descriptor, to: borrowing Descriptor, path: FileName
    ) throws(KernelError) {
        try check(name, name.withCName { mkdirat(to.number, $0, 0o700) })
        let source = try open(name, O_RDONLY | O_DIRECTORY, at: from)
        let target = try open(name, O_RDONLY | O_DIRECTORY, at: to)
        try copyEntries(of: source, to: target, path: path)
    }
}

private func copyLink(
    _ name: FileName, from: borrowing Descriptor, to: borrowing Descriptor
) throws(KernelError) {
    var target = [CChar](repeating: 0, count: 4097)
    let source = from.number
    try check(name, CInt(name.withCName { readlinkat(source, $0, &target, 4096) }))
    try check(name, name.withCName { symlinkat(target, to.number, $0) })
}

// Content

private func copyFile(
    _ name: FileName, size: Int, from: borrowing Descriptor, to: borrowing Descriptor
) throws(KernelError) {
    let source = try open(name, O_RDONLY, at: from)
    let target = try open(name, O_WRONLY | O_CREAT | O_EXCL, at: to)
    if size == 0 || clone_file(target.number, source.number) == 0 { return }
    var end = 0
    while end < size {
        let start = seek_data(source.number, end)
        // Nothing but a hole up to the end; or a file system that knows of no holes.
        if start < 0 && Errno.current.rawValue == ENXIO { break }
        let hole = start < 0 ? -1 : seek_hole(source.number, start)
        end = hole < 0 ? size : hole
        try copyRange(name, max(start, 0)..<end, from: source, to: target)
    }
    try check(name, ftruncate(target.number, size))
}

/// Both files are read and written from the range's start on.
private func copyRange(
    _ name: FileName, _ range: Range<Int>, from: borrowing Descriptor, to: borrowing Descriptor
) throws(KernelError) {
    if range.isEmpty { return }
    guard lseek(from.number, range.lowerBound, SEEK_SET) >= 0,
        lseek(to.number, range.lowerBound, SEEK_SET) >= 0
    else { throw KernelError("lseek", name.shown, .current) }
    var left = range.count
    while left > 0 {
        let count = copy_range(from.number, to.number, left)
        if count > 0 {
            left -= count
            continue
        }
        // Not between these file systems, or not by this kernel: then by hand.
        let bytes = try from.read(upTo: min(left, 1 << 20))
        if bytes.isEmpty { return }
        try to.write(bytes)
        left -= bytes.count
    }
}

// Attributes

/// The owner comes first: changing it clears set-user-ID and capabilities. The times come last.
private func copyAttributes(
    of name: FileName, _ status: stat, from: borrowing Descriptor, to: borrowing Descriptor
) throws(KernelError) {
    let at = to.number
    try check(
        name,
        name.withCName { fchownat(at, $0, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) })
    if status.st_mode & S_IFMT != S_IFLNK {
        try check(name, name.withCName { fchmodat(at, $0, status.st_mode & 0o7777, 0) })
    }
    try copyExtendedAttributes(of: name, from: from.number, to: at)
    let times = [status.st_atim, status.st_mtim]
    try check(name, name.withCName { utimensat(at, $0, times, AT_SYMLINK_NOFOLLOW) })
}

private func copyExtendedAttributes(
    of name: FileName, from: CInt, to: CInt
) throws(KernelError) {
    let source = FileName("/proc/self/fd/\(from)/".utf8) + name
    let target = FileName("/proc/self/fd/\(to)/".utf8) + name
    var names = [CChar](repeating: 0, count: 65_536)
    let length = source.withCName { llistxattr($0, &names, names.count) }
    if length <= 0 { return }
    var value = [UInt8](repeating: 0, count: 65_536)
    for attribute in names.prefix(length).map({ UInt8(bitPattern: $0) }).split(separator: 0) {
        let attribute = FileName(attribute)
        if staysBehind(attribute) { continue }
        let size = source.withCName { path in
            attribute.withCName { lgetxattr(path, $0, &value, 65_536) }
        }
        if size < 0 { continue }
        let result = target.withCName { path in
            attribute.withCName { lsetxattr(path, $0, value, size, 0) }
        }
        let errno = Errno.current
        // The target's file system may not know this kind, and some are the machine's root's.
        if result < 0 && errno.rawValue != ENOTSUP && errno != .notPermitted {
            throw KernelError("lsetxattr", name.shown, errno)
        }
    }
}

private func staysBehind(_ attribute: FileName) -> Bool {
    ["trusted.overlay.", "user.overlay.", "security.selinux"].contains {
        attribute.starts(with: $0.utf8)
    }
}

// Calls

private func fileStatus(
    _ name: FileName, _ directory: borrowing Descriptor
) throws(KernelError) -> stat {
    var status = stat()
    let number = directory.number
    try check(name, name.withCName { fstatat(number, $0, &status, AT_SYMLINK_NOFOLLOW) })
    return status
}

private func open(
    _ name: FileName, _ flags: CInt, at directory: borrowing Descriptor
) throws(KernelError) -> Descriptor {
    let number = directory.number
    let opened = name.withCName { openat(number, $0, flags | O_NOFOLLOW | O_CLOEXEC, 0o600) }
    try check(name, opened)
    return Descriptor(owning: opened)
}

private func check(_ name: FileName, _ result: CInt) throws(KernelError) {
    if result < 0 { throw KernelError("copy", name.shown, .current) }
}
