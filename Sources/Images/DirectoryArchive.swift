import CLinux
import Glibc
import Kernel

/// Writes a directory as a layer's archive.
///
/// Names come in the order of their bytes and nothing depends on the moment, so the same
/// directory always gives the same archive. overlayfs's marks for deleted files are
/// written as the image specification spells them; sockets, which no archive can hold,
/// are left out, and so is what is mounted below.
struct DirectoryArchive: ~Copyable {
    private let writer: TarWriter
    private let sink: any ByteSink
    private let progress: (Int) -> Void
    private var written = 0
    private var device: dev_t = 0
    /// The first name of each file that has several.
    private var names: [FileIdentity: FileName] = [:]
    private let buffer = WorkBuffer()

    private struct FileIdentity: Hashable {
        let device: dev_t
        let inode: ino_t
    }

    /// Writes to `sink`; `progress` hears how many bytes of content are done.
    init(to sink: any ByteSink, progress: @escaping (Int) -> Void = { _ in }) {
        self.sink = sink
        writer = TarWriter(sink)
        self.progress = progress
    }

    /// Writes all of the directory at `path`, and the archive's end mark.
    mutating func write(_ path: String) throws(KernelError) {
        let root = try Descriptor.open(path, O_RDONLY | O_DIRECTORY)
        let status = try fileStatus([UInt8(ascii: ".")], at: root.number)
        device = status.st_dev
        var entry = try entry([UInt8(ascii: ".")], status, .directory, at: root.number)
        entry.path = Array("./".utf8)
        try writer.append(entry)
        try writeEntries(of: root, path: [])
        try writer.finish()
    }

    private mutating func writeEntries(
        of directory: borrowing Descriptor, path: FileName
    ) throws(KernelError) {
        // Sorted: the same directory has to become the same bytes.
        for name in try directoryEntries(directory).sorted(by: { $0.lexicographicallyPrecedes($1) })
        {
            do { try write(name, at: directory.number, path: path + name) } catch {
                throw error.renamed(error.operation, (path + name).shown)
            }
        }
    }

    private mutating func write(
        _ name: FileName, at directory: CInt, path: FileName
    ) throws(KernelError) {
        let status = try fileStatus(name, at: directory)
        switch status.st_mode & S_IFMT {
        case S_IFDIR: try writeDirectory(name, status, at: directory, path: path)
        case S_IFSOCK: break
        case S_IFCHR where status.st_rdev == 0:
            try writeMark(Array(".wh.".utf8) + name, besides: path, name, status)
        default: try writeFile(name, status, at: directory, path: path)
        }
    }

    private mutating func writeDirectory(
        _ name: FileName, _ status: stat, at directory: CInt, path: FileName
    ) throws(KernelError) {
        let path = path + [UInt8(ascii: "/")]
        var entry = try entry(name, status, .directory, at: directory)
        entry.path = path
        try writer.append(entry)
        if status.st_dev != device { return }
        if isOpaque(name, at: directory) {
            try writeMark(Array(".wh..wh..opq".utf8), besides: path, [], status)
        }
        let number = name.withCName {
            openat(directory, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        }
        guard number >= 0 else { throw KernelError("open", name.shown, .current) }
        try writeEntries(of: Descriptor(owning: number), path: path)
    }

    /// An empty file whose name says that something of the layers below is deleted.
    private func writeMark(
        _ mark: FileName, besides path: FileName, _ name: FileName, _ status: stat
    ) throws(KernelError) {
        try writer.append(
            TarEntry(
                path: FileName(path.dropLast(name.count)) + mark, kind: .regular(size: 0), mode: 0,
                owner: 0, group: 0, modified: TarTime(seconds: status.st_mtim.tv_sec)))
    }

    private mutating func writeFile(
        _ name: FileName, _ status: stat, at directory: CInt, path: FileName
    ) throws(KernelError) {
        let identity = FileIdentity(device: status.st_dev, inode: status.st_ino)
        var kind = try kind(name, status, at: directory)
        if status.st_nlink > 1 {
            if let first = names[identity] { kind = .hardLink(target: first) }
            names[identity, default: path] = names[identity] ?? path
        }
        var entry = try entry(name, status, kind, at: directory)
        entry.path = path
        try writer.append(entry)
        if case .regular(let size) = kind { try writeContent(name, size, at: directory) }
    }

    private mutating func writeContent(
        _ name: FileName, _ size: Int, at directory: CInt
    ) throws(KernelError) {
        let number = name.withCName { openat(directory, $0, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) }
        guard number >= 0 else { throw KernelError("open", name.shown, .current) }
        let file = FileSource(Descriptor(owning: number), named: name.shown)
        var left = size
        while left > 0 {
            let wanted = UnsafeMutableRawBufferPointer(
                rebasing: buffer.bytes[..<min(left, WorkBuffer.size)])
            let count = try file.read(into: wanted)
            if count == 0 {
                throw KernelError(
                    "read", name.shown, Errno(rawValue: ESTALE),
                    remedy: "It became shorter while it was read; try again.")
            }
            try writer.writeContent(UnsafeRawBufferPointer(rebasing: wanted[..<count]))
            left -= count
            written += count
            progress(written)
        }
        try writer.endContent(size: size)
    }

    private func kind(
        _ name: FileName, _ status: stat, at directory: CInt
    ) throws(KernelError) -> TarEntry.Kind {
        let (major, minor) = (device_major(status.st_rdev), device_minor(status.st_rdev))
        switch status.st_mode & S_IFMT {
        case S_IFLNK:
            return .symbolicLink(target: try linkTarget(name, size: status.st_size, at: directory))
        case S_IFCHR: return .characterDevice(major: major, minor: minor)
        case S_IFBLK: return .blockDevice(major: major, minor: minor)
        case S_IFIFO: return .fifo
        default: return .regular(size: status.st_size)
        }
    }

    private func entry(
        _ name: FileName, _ status: stat, _ kind: TarEntry.Kind, at directory: CInt
    ) throws(KernelError) -> TarEntry {
        let time = TarTime(
            seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
        return TarEntry(
            path: name, kind: kind, mode: status.st_mode & 0o7777, owner: status.st_uid,
            group: status.st_gid, modified: time,
            attributes: try extendedAttributes(of: name, at: directory))
    }
}

/// What `name` in `directory` is; a symbolic link is not followed. See `fstatat(2)`.
private func fileStatus(_ name: FileName, at directory: CInt) throws(KernelError) -> stat {
    var status = stat()
    if name.withCName({ fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW) }) < 0 {
        throw KernelError("stat", name.shown, .current)
    }
    return status
}

/// Where a symbolic link points. See `readlinkat(2)`.
private func linkTarget(
    _ name: FileName, size: Int, at directory: CInt
) throws(KernelError) -> FileName {
    var bytes = [CChar](repeating: 0, count: max(size, 4096))
    let room = bytes.count
    let count = name.withCName { readlinkat(directory, $0, &bytes, room) }
    guard count >= 0 else { throw KernelError("readlink", name.shown, .current) }
    return bytes.prefix(count).map { UInt8(bitPattern: $0) }
}

/// How many bytes of content the archive of a directory will have, so that progress has an end.
func contentSize(of path: String) throws(KernelError) -> Int {
    let root = try Descriptor.open(path, O_RDONLY | O_DIRECTORY)
    return try contentSize(of: root)
}

private func contentSize(of directory: borrowing Descriptor) throws(KernelError) -> Int {
    let device = try fileStatus([UInt8(ascii: ".")], at: directory.number).st_dev
    var size = 0
    for name in try directoryEntries(directory) {
        guard let status = try? fileStatus(name, at: directory.number) else { continue }
        if status.st_mode & S_IFMT == S_IFREG { size += status.st_size }
        guard status.st_mode & S_IFMT == S_IFDIR, status.st_dev == device else { continue }
        let number = name.withCName {
            openat(directory.number, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        }
        if number >= 0 { size += try contentSize(of: Descriptor(owning: number)) }
    }
    return size
}
