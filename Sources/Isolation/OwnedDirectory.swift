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
    private let lock: Descriptor
    private let isThrowAway: Bool

    /// Makes a new one in `parent`, which is swept first.
    public init(
        in parent: String, named name: String? = nil, why: StaticString
    ) throws(KernelError) {
        try makeDirectories(parent, mode: 0o711, why: "what belongs to running sandboxes")
        OwnedDirectory.sweep(parent)
        // Shut, so that nobody takes a directory without a lock yet for an abandoned one.
        let gate = try OwnedDirectory.gate(of: parent)
        flock(gate.number, LOCK_SH)
        let path = "\(parent)/\(name ?? randomName())"
        try makeDirectory(path, mode: 0o711, why: why)
        while true {
            // Somebody who only looks whether it is owned may have the lock for a moment.
            guard let lock = try OwnedDirectory.lock(path) else { continue }
            self.path = path
            self.lock = lock
            isThrowAway = true
            return
        }
    }

    /// Takes a directory that is there and stays, so that nobody else uses it meanwhile.
    /// - Throws: `EBUSY` where somebody does.
    public init(claiming path: String) throws(KernelError) {
        guard let lock = try OwnedDirectory.lock(path) else {
            throw KernelError(
                "lock", path, .busy, remedy: "Another sandbox is using it; wait or choose another.")
        }
        self.path = path
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
            let gate = try gate(of: parent)
            for name in try namesInDirectory(parent) {
                guard flock(gate.number, LOCK_EX | LOCK_NB) == 0 else { return }
                try removeIfAbandoned("\(parent)/\(name)", gate: gate)
            }
        } catch {}
    }
    // book: end sweep

    private static func removeIfAbandoned(
        _ path: String, gate: borrowing Descriptor
    ) throws(KernelError) {
        defer { flock(gate.number, LOCK_UN) }
        // Its owner may be just removing it.
        if fileType(path) == nil { return }
        guard let abandoned = try lock(path) else { return }
        // From here on the lock is ours: let others make theirs meanwhile.
        flock(gate.number, LOCK_UN)
        try removeTree(path)
        _ = consume abandoned
    }

    /// Locked by whoever makes a directory in `parent`, together with others who do, or by one
    /// who looks for abandoned ones.
    private static func gate(of parent: String) throws(KernelError) -> Descriptor {
        try Descriptor.open(parent, O_RDONLY | O_DIRECTORY)
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
