import CLinux
import Glibc
import Kernel

/// A file that gets its name when it is whole: whoever looks finds the old one or the new one.
///
/// Until then it has no name at all, so that a killed process leaves nothing. See `open(2)`,
/// `O_TMPFILE`.
public final class OutputFile: ByteSink {
    private let path: String
    private let sink: FileSink
    /// nil where the file has its name already.
    private let unnamed: CInt?

    /// Opens it to be written.
    ///
    /// What is there and no regular file, such as a FIFO or /dev/stdout, is written to as it is.
    public init(_ path: String) throws(KernelError) {
        self.path = path
        let file: Descriptor
        if let type = fileType(path), type != .regular {
            file = try Descriptor.open(path, O_WRONLY)
            unnamed = nil
        } else {
            file = try OutputFile.openUnnamed(path)
            unnamed = OutputFile.isUnnamed(file) ? file.number : nil
        }
        sink = FileSink(file, named: path)
    }

    /// Writes all of `bytes`. See `write(2)`.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(KernelError) {
        try sink.write(bytes)
    }

    /// Gives the file its name. See `linkat(2)`.
    public func commit() throws(KernelError) {
        guard let unnamed else { return }
        if fsync(unnamed) < 0 { throw KernelError("fsync", path, .current) }
        // linkat(2) replaces nothing, rename(2) does.
        let temporary = "\(path).\(randomName()).tmp"
        let source = "/proc/self/fd/\(unnamed)"
        if linkat(AT_FDCWD, source, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) < 0 {
            throw KernelError("linkat", path, .current)
        }
        if rename(temporary, path) < 0 {
            let errno = Errno.current
            unlink(temporary)
            throw KernelError("rename", path, errno)
        }
        try syncDirectory(holding: path)
    }

    private static func openUnnamed(_ path: String) throws(KernelError) -> Descriptor {
        let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        do throws(KernelError) {
            let flags = O_WRONLY | CInt(linux_O_TMPFILE_alone) | O_DIRECTORY
            return try Descriptor.open(directory, flags, mode: 0o644)
        } catch {
            // Not every file system has it; the next best is to write under the name.
            guard [EOPNOTSUPP, EISDIR].contains(error.errno.rawValue) else {
                throw error.renamed("write", path)
            }
            return try Descriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        }
    }

    private static func isUnnamed(_ file: borrowing Descriptor) -> Bool {
        var status = stat()
        return fstat(file.number, &status) == 0 && status.st_nlink == 0
    }
}
