import Glibc
import Kernel

/// A directory for what is not finished yet, which a killed process cannot litter for long.
///
/// Whoever makes something here keeps it locked with `flock(2)` for as long as it lives.
/// The kernel drops the lock when the process dies, however it dies. So an entry that can be locked
/// by somebody else is an orphan, and the next one who starts something clears it.
struct ScratchSpace {
    /// How the names of downloads end, which are not swept.
    static let download = ".part"

    let directory: String

    /// Makes a file to write, and clears what others left.
    func makeFile() throws(KernelError) -> ScratchEntry {
        let lock = try lockAndSweep()
        let path = directory + "/" + randomName()
        let file = try Descriptor.open(path, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        try claim(file, path)
        _ = consume lock
        return ScratchEntry(path: path, descriptor: file)
    }

    /// Makes a directory to fill, and clears what others left.
    func makeDirectory() throws(KernelError) -> ScratchEntry {
        let lock = try lockAndSweep()
        let path = directory + "/" + randomName()
        if mkdir(path, 0o700) < 0 { throw KernelError("mkdir", path, .current) }
        let opened = try Descriptor.open(path, O_RDONLY | O_DIRECTORY)
        try claim(opened, path)
        _ = consume lock
        return ScratchEntry(path: path, descriptor: opened)
    }

    /// Clears what others left.
    ///
    /// - Parameter takesDownloads: whether those that were broken off go too.
    /// - Returns: the size of each file that was removed.
    @discardableResult
    func sweep(takesDownloads: Bool = false) throws(KernelError) -> [Int] {
        let lock = try FileLock(directory + "/lock")
        let sizes = try removeOrphans(takesDownloads)
        _ = consume lock
        return sizes
    }

    /// Under the lock nobody is between making an entry and claiming it.
    private func lockAndSweep() throws(KernelError) -> FileLock {
        try makeDirectories(directory, mode: 0o700, why: "a place for what is not finished yet")
        let lock = try FileLock(directory + "/lock")
        _ = try removeOrphans(false)
        return lock
    }

    private func removeOrphans(_ takesDownloads: Bool) throws(KernelError) -> [Int] {
        var sizes: [Int] = []
        for name in try namesInDirectory(directory) where name != "lock" {
            // A download that was broken off is gone on with.
            if name.hasSuffix(ScratchSpace.download) && !takesDownloads { continue }
            if let size = removeIfOrphaned(directory + "/" + name) { sizes.append(size) }
        }
        return sizes
    }

    private func claim(_ entry: borrowing Descriptor, _ path: String) throws(KernelError) {
        if flock(entry.number, LOCK_EX | LOCK_NB) < 0 { throw KernelError("flock", path, .current) }
    }

    /// - Returns: its size; nil where it has an owner.
    private func removeIfOrphaned(_ path: String) -> Int? {
        guard let entry = try? Descriptor.open(path, O_RDONLY | O_NOFOLLOW),
            flock(entry.number, LOCK_EX | LOCK_NB) == 0
        else { return nil }
        var status = stat()
        let isKnown = fstat(entry.number, &status) == 0
        do { try removeTree(path) } catch { return nil }
        return isKnown ? Int(status.st_size) : 0
    }
}

/// Something unfinished, and the descriptor that says that somebody is still at it.
struct ScratchEntry: ~Copyable {
    let path: String
    let descriptor: Descriptor

    /// Gives the descriptor away, and with it the lock.
    consuming func release() -> Descriptor { descriptor }
}

/// Holds a lock on a file; given back when the value goes, or the process. See `flock(2)`.
struct FileLock: ~Copyable, Sendable {
    private let file: Descriptor

    /// Waits until nobody else has it or, where it `isShared`, nobody has it alone.
    init(_ path: String, isShared: Bool = false) throws(KernelError) {
        let file = try Descriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
        while flock(file.number, isShared ? LOCK_SH : LOCK_EX) < 0 {
            let errno = Errno.current
            if errno != .interrupted { throw KernelError("flock", path, errno) }
        }
        self.file = file
    }

    /// nil where others still have it when so many seconds are over.
    init?(_ path: String, patience: Double) throws(KernelError) {
        let file = try Descriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
        var left = Int(patience * 100)
        while flock(file.number, LOCK_EX | LOCK_NB) < 0 {
            let errno = Errno.current
            guard errno == .wouldBlock || errno == .interrupted else {
                throw KernelError("flock", path, errno)
            }
            if left <= 0 { return nil }
            left -= 1
            usleep(10_000)
        }
        self.file = file
    }
}
