import CLinux
import Glibc
import Kernel

/// Writes files of the disk into an archive, one after the other.
///
/// Nothing depends on the moment: the same files in the same order are the same bytes.
final class FileArchiver {
    private let writer: TarWriter
    private let progress: (Int) -> Void
    private var written = 0
    /// The first name of each file that has several.
    private var names: [FileIdentity: FileName] = [:]
    private let buffer = WorkBuffer()

    /// Writes to `sink`; `progress` hears how many bytes of content are done.
    init(to sink: any ByteSink, progress: @escaping (Int) -> Void) {
        writer = TarWriter(sink)
        self.progress = progress
    }

    /// Writes `name` of `directory`, and its content, as the archive's `path`.
    ///
    /// A further name of a file that is in the archive already becomes a hard link to the first.
    func append(
        _ name: FileName, _ status: stat, at directory: CInt, as path: FileName
    ) throws(KernelError) {
        var kind = try kind(name, status, at: directory)
        if status.st_nlink > 1 && kind != .directory {
            let identity = FileIdentity(status)
            if let first = names[identity] { kind = .hardLink(target: first) }
            names[identity, default: path] = names[identity] ?? path
        }
        let time = TarTime(seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
        try writer.append(
            TarEntry(
                path: path, kind: kind, mode: status.st_mode & 0o7777, owner: status.st_uid,
                group: status.st_gid, modified: time,
                attributes: try extendedAttributes(of: name, at: directory)))
        if case .regular(let size) = kind { try writeContent(name, size, at: directory) }
    }

    /// Writes an empty file whose name says that something of the layers below is deleted.
    ///
    /// When that was is not part of the change, so it has no time.
    func appendMark(_ path: FileName) throws(KernelError) {
        try writer.append(
            TarEntry(
                path: path, kind: .regular(size: 0), mode: 0, owner: 0, group: 0,
                modified: TarTime(seconds: 0)))
    }

    /// Writes the end mark.
    func finish() throws(KernelError) { try writer.finish() }

    private func writeContent(
        _ name: FileName, _ size: Int, at directory: CInt
    ) throws(KernelError) {
        let file = FileSource(try openFile(name, at: directory), named: name.shown)
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
        case S_IFDIR: return .directory
        case S_IFLNK: return .symbolicLink(target: try linkTarget(name, at: directory))
        case S_IFCHR: return .characterDevice(major: major, minor: minor)
        case S_IFBLK: return .blockDevice(major: major, minor: minor)
        case S_IFIFO: return .fifo
        default: return .regular(size: status.st_size)
        }
    }
}

/// Which file a name stands for: names with the same one are hard links of each other.
struct FileIdentity: Hashable {
    let device: dev_t
    let inode: ino_t

    init(_ status: stat) { (device, inode) = (status.st_dev, status.st_ino) }
}

/// What `name` in `directory` is; a symbolic link is not followed. See `fstatat(2)`.
func fileStatus(_ name: FileName, at directory: CInt) throws(KernelError) -> stat {
    var status = stat()
    if name.withCName({ fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW) }) < 0 {
        throw KernelError("stat", name.shown, .current)
    }
    return status
}

/// Opens a file to read. A symbolic link is refused, and nobody waits for a FIFO's writer.
func openFile(_ name: FileName, at directory: CInt) throws(KernelError) -> Descriptor {
    let number = name.withCName {
        openat(directory, $0, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    }
    guard number >= 0 else { throw KernelError("open", name.shown, .current) }
    return Descriptor(owning: number)
}

/// Opens a directory to list; a symbolic link to one is refused.
func openDirectory(_ name: FileName, at directory: CInt) throws(KernelError) -> Descriptor {
    let number = name.withCName {
        openat(directory, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    }
    guard number >= 0 else { throw KernelError("open", name.shown, .current) }
    return Descriptor(owning: number)
}

/// Where a symbolic link points. See `readlinkat(2)`.
func linkTarget(_ name: FileName, at directory: CInt) throws(KernelError) -> FileName {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = name.withCName { readlinkat(directory, $0, &bytes, Int(PATH_MAX)) }
    guard count >= 0 else { throw KernelError("readlink", name.shown, .current) }
    return bytes.prefix(count).map { UInt8(bitPattern: $0) }
}
