import CLinux
import Glibc
import Kernel

/// Takes a mount away that stage 2's sandbox makes, for want of mounts of its own, on the host.
///
/// What the sandbox mounts, the host sees, and it stays after the sandbox has gone: the owner
/// has to unmount it. If the owner is killed, the next command does: a note of the mount is
/// kept in a file that the owner holds a lock on. Stage 3 needs none of this.
public final class HostMountGuard: Mechanism {
    /// As the narrator calls it.
    public let name = "host mount"
    private let target: String
    private let directory: String
    private var note: (path: String, lock: CInt)?

    /// - Parameters:
    ///   - path: where the sandbox is going to mount something.
    ///   - directory: where the notes are kept.
    public init(on path: String, notesIn directory: String) {
        target = path
        self.directory = directory
    }

    /// Clears up after killed owners, and leaves a note of what is about to be mounted.
    /// - Throws: `EBUSY` where another sandbox has a mount there: one would unmount the other's.
    public func prepare() throws(KernelError) {
        try makeDirectories(directory, mode: 0o711, why: "notes of mounts that must not stay")
        try sweep()
        guard fileType(target) != nil else { return }
        let path = "\(directory)/\(try identity(of: target))"
        let file = try Descriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
        let isOurs = lockPatiently(file)
        // Its owner was killed while we waited: what it mounted is ours to clean up.
        if isOurs, try !file.readAll().isEmpty, try isMountPoint(target) {
            try unmount(target, lazily: true, why: "left behind by a sandbox that was killed")
        }
        guard isOurs, try !isMountPoint(target) else {
            throw KernelError(
                "mount", target, .busy,
                remedy: "Another sandbox uses this rootfs; stage 3 gives each mounts of its own.")
        }
        // From the front, whatever an earlier owner wrote.
        _ = ftruncate(file.number, 0)
        _ = lseek(file.number, 0, SEEK_SET)
        do { try file.write(target) } catch {
            unlink(path)
            throw error.renamed("write", path)
        }
        note = (path, file.release())
    }

    // book: begin host-mount-release
    /// Unmounts what the sandbox mounted, then forgets the note.
    public func release() throws(KernelError) {
        guard let note else { return }
        defer { close(note.lock) }
        if try isMountPoint(target) {
            try unmount(target, lazily: true, why: "without mounts of its own, ours to clean up")
        }
        unlink(note.path)
        self.note = nil
    }
    // book: end host-mount-release

    /// An owner that was killed a moment ago may still be on its way out.
    private func lockPatiently(_ note: borrowing Descriptor) -> Bool {
        for _ in 0..<40 {
            if flock(note.number, LOCK_EX | LOCK_NB) == 0 { return true }
            usleep(5000)
        }
        return false
    }

    private func sweep() throws(KernelError) {
        for name in try namesInDirectory(directory) {
            let path = "\(directory)/\(name)"
            let file = try Descriptor.open(path, O_RDWR)
            guard flock(file.number, LOCK_EX | LOCK_NB) == 0 else { continue }
            let target = String(decoding: try file.readAll(), as: UTF8.self)
            if !target.isEmpty, fileType(target) != nil, try isMountPoint(target) {
                try unmount(target, lazily: true, why: "left behind by a sandbox that was killed")
            }
            unlink(path)
        }
    }

    /// The same for every name of a directory.
    private func identity(of path: String) throws(KernelError) -> String {
        // A mount would be another directory than the one below it.
        let parent = try resolvedPath(path)
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in parent.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
