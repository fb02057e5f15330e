import Glibc
import Kernel

/// A directory that belongs to a running process, and is swept away if that process is killed.
///
/// The owner holds a lock on it. The kernel drops the lock when the owner dies, however it
/// dies, so a directory without a lock is one that nobody is going to clean up: the next
/// command does. See `flock(2)`.
public struct OwnedDirectory: ~Copyable {
    /// Where it is.
    public let path: String
    /// The last part of the path.
    public let name: String
    private let lock: Descriptor
    private let isThrowAway: Bool

    /// Makes a new one in `parent`, which is swept first.
    public init(in parent: String, why: StaticString) throws(KernelError) {
        try makeDirectories(parent, mode: 0o711, why: "what belongs to running sandboxes")
        OwnedDirectory.sweep(parent)
        while true {
            // Another name each time: the one before may be in a sweeper's hands.
            let name = randomName()
            let path = "\(parent)/\(name)"
            try makeDirectory(path, mode: 0o711, why: why)
            // A sweeper may come between the two, and take the directory for an abandoned one.
            guard let lock = try OwnedDirectory.lockIfPresent(path) else { continue }
            self.path = path
            self.name = name
            self.lock = lock
            isThrowAway = true
            return
        }
    }

    /// Takes a directory that is there and stays, so that nobody else uses it meanwhile.
    /// - Throws: `EBUSY` where somebody does.
    public init(claiming path: String) throws(KernelError) {
        guard let lock = try OwnedDirectory.lockPatiently(path) else {
            throw KernelError(
                "lock", path, .busy, remedy: "Another sandbox is using it; wait or choose another.")
        }
        self.path = path
        name = split(path, at: "/").last ?? path
        self.lock = lock
        isThrowAway = false
    }

    /// Gives it back: removed if it was made here, else only unlocked.
    public consuming func release() throws(KernelError) {
        if isThrowAway { try removeTree(path) }
    }

    /// Whether a living process holds the directory.
    public static func isOwned(_ path: String) -> Bool {
        do { return try lock(path) == nil } catch { return false }
    }

    // book: begin sweep
    /// Removes what killed processes left in `parent`.
    ///
    /// What cannot be removed now stays for the next command: the one that runs has other work.
    public static func sweep(_ parent: String) {
        do throws(KernelError) {
            for name in try namesInDirectory(parent) {
                let path = "\(parent)/\(name)"
                guard let abandoned = try lockIfPresent(path) else { continue }
                try removeTree(path)
                _ = consume abandoned
            }
        } catch {}
    }
    // book: end sweep

    /// Whoever only looks whether a directory has an owner holds the lock for a moment too.
    private static func lockPatiently(_ path: String) throws(KernelError) -> Descriptor? {
        for _ in 0..<20 {
            if let lock = try lock(path) { return lock }
            usleep(5000)
        }
        return nil
    }

    private static func lockIfPresent(_ path: String) throws(KernelError) -> Descriptor? {
        do { return try lock(path) } catch {
            if error.errno == .noSuchFile { return nil }
            throw error
        }
    }

    /// - Returns: nil where somebody else has the lock, or has swept the directory away before
    ///   we got it.
    private static func lock(_ path: String) throws(KernelError) -> Descriptor? {
        let directory = try Descriptor.open(path, O_RDONLY | O_DIRECTORY)
        if flock(directory.number, LOCK_EX | LOCK_NB) < 0 {
            let errno = Errno.current
            if errno == .wouldBlock { return nil }
            throw KernelError("flock", path, errno)
        }
        var status = stat()
        guard fstat(directory.number, &status) == 0 else {
            throw KernelError("fstat", path, .current)
        }
        if status.st_nlink == 0 { return nil }
        return directory
    }
}
