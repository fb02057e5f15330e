import Glibc
import Kernel

/// Tells whether two files are different in anything that a layer holds.
///
/// Times alone would be quicker. But a program may change a file and set its time back, and
/// then a commit would lose the change.
struct FileComparison {
    private let buffer = WorkBuffer()
    private let other = WorkBuffer()

    /// Whether `old` became another file. Which names link to it counts; its inode does not.
    func differ(_ old: OpenedFile, _ new: OpenedFile) throws(KernelError) -> Bool {
        if FileIdentity(old.status) == FileIdentity(new.status) { return false }
        if statusesDiffer(old.status, new.status) { return true }
        if try extendedAttributes(of: old.name, at: old.directory)
            != extendedAttributes(of: new.name, at: new.directory)
        {
            return true
        }
        switch new.status.st_mode & S_IFMT {
        case S_IFLNK:
            return try linkTarget(old.name, at: old.directory)
                != linkTarget(new.name, at: new.directory)
        case S_IFREG: return try contentsDiffer(old, new)
        default: return false
        }
    }

    private func statusesDiffer(_ old: stat, _ new: stat) -> Bool {
        let type = new.st_mode & S_IFMT
        if old.st_mode != new.st_mode || old.st_uid != new.st_uid || old.st_gid != new.st_gid
            || old.st_mtim.tv_sec != new.st_mtim.tv_sec
            || old.st_mtim.tv_nsec != new.st_mtim.tv_nsec
        {
            return true
        }
        // Of a directory both say how the file system keeps it.
        if type != S_IFDIR && old.st_nlink != new.st_nlink { return true }
        if type == S_IFREG && old.st_size != new.st_size { return true }
        return (type == S_IFCHR || type == S_IFBLK) && old.st_rdev != new.st_rdev
    }

    private func contentsDiffer(_ old: OpenedFile, _ new: OpenedFile) throws(KernelError) -> Bool {
        let oldFile = try openFile(old.name, at: old.directory)
        let newFile = try openFile(new.name, at: new.directory)
        while true {
            let count = try fill(buffer, from: oldFile.number, old.name)
            guard try fill(other, from: newFile.number, new.name) == count else { return true }
            if count == 0 { return false }
            guard let one = buffer.bytes.baseAddress, let two = other.bytes.baseAddress,
                memcmp(one, two, count) == 0
            else { return true }
        }
    }

    private func fill(
        _ buffer: WorkBuffer, from file: CInt, _ name: FileName
    ) throws(KernelError) -> Int {
        var filled = 0
        while filled < WorkBuffer.size {
            let count = read(
                file, buffer.bytes.baseAddress.map { $0 + filled }, WorkBuffer.size - filled)
            let errno = Errno.current
            if count < 0 && errno == .interrupted { continue }
            guard count >= 0 else { throw KernelError("read", name.shown, errno) }
            if count == 0 { break }
            filled += count
        }
        return filled
    }
}
