import Glibc
import Kernel

/// Writes a directory as a layer's archive.
///
/// Names come in the order of their bytes and nothing depends on the moment, so the same
/// directory always gives the same archive. overlayfs's marks for deleted files are
/// written as the image specification spells them; sockets, which no archive can hold,
/// are left out, and so is what is mounted below.
struct DirectoryArchive: ~Copyable {
    private let archiver: FileArchiver
    private var device: dev_t = 0

    /// Writes to `sink`; `progress` hears how many bytes of content are done.
    init(to sink: any ByteSink, progress: @escaping (Int) -> Void = { _ in }) {
        archiver = FileArchiver(to: sink, progress: progress)
    }

    /// Writes all of the directory at `path`, and the archive's end mark.
    mutating func write(_ path: String) throws(KernelError) {
        let root = try Descriptor.open(path, O_RDONLY | O_DIRECTORY)
        let status = try fileStatus([UInt8(ascii: ".")], at: root.number)
        device = status.st_dev
        try archiver.append(
            [UInt8(ascii: ".")], status, at: root.number, as: Array("./".utf8))
        try writeEntries(of: root, path: [])
        try archiver.finish()
    }

    private func writeEntries(
        of directory: borrowing Descriptor, path: FileName
    ) throws(KernelError) {
        // Sorted: the same directory has to become the same bytes.
        for name in try directoryEntries(directory).sorted(by: { $0.lexicographicallyPrecedes($1) })
        {
            // Where the archive goes to has a name already.
            do { try write(name, at: directory.number, path: path) } catch
                where error.operation != "write"
            {
                throw error.renamed(error.operation, (path + name).shown)
            }
        }
    }

    private func write(
        _ name: FileName, at directory: CInt, path: FileName
    ) throws(KernelError) {
        let status = try fileStatus(name, at: directory)
        switch status.st_mode & S_IFMT {
        case S_IFDIR: try writeDirectory(name, status, at: directory, path: path + name)
        case S_IFSOCK: break
        case S_IFCHR where status.st_rdev == 0:
            try archiver.appendMark(path + Whiteout.prefix + name)
        default: try archiver.append(name, status, at: directory, as: path + name)
        }
    }

    private func writeDirectory(
        _ name: FileName, _ status: stat, at directory: CInt, path: FileName
    ) throws(KernelError) {
        let path = path + [UInt8(ascii: "/")]
        try archiver.append(name, status, at: directory, as: path)
        if status.st_dev != device { return }
        if isOpaque(name, at: directory) { try archiver.appendMark(path + Whiteout.opaque) }
        try writeEntries(of: try openDirectory(name, at: directory), path: path)
    }
}

/// How an archive says that something of the layers below is deleted.
///
/// See image-spec, layer.md, "Whiteouts".
enum Whiteout {
    /// Before the name of what is deleted.
    static let prefix = FileName(".wh.".utf8)
    /// In a directory that shows nothing of the same directory below.
    static let opaque = FileName(".wh..wh..opq".utf8)
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
        size += try contentSize(of: try openDirectory(name, at: directory.number))
    }
    return size
}
