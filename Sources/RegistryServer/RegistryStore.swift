import Glibc
import Kernel
import OCISpec

/// Everything that a registry keeps, as directories that `ls` and `jq` can read.
///
///     ROOT/blobs/sha256/DIGITS           every blob once, whatever it is
///     ROOT/repositories/library+alpine/  one OCI image layout a repository; see ``Repository``
///     ROOT/uploads/library+alpine/ID     what is being pushed; see ``Upload``
///     ROOT/tmp/                          small files that are not in their place yet
///     ROOT/lock                          held by the one process that may write here
///
/// A repository has a blob where its own layout has it: as a hard link to the one in `blobs`. So
/// the file system itself keeps account of who uses a blob, mounting one from another repository
/// is `link(2)`, and what has no second name belongs to nobody.
final class RegistryStore: Sendable {
    let root: String
    /// How many bytes the blobs and the uploads have.
    let usage: StoreUsage
    private let lock: Descriptor
    private let writers = RepositoryLocks()

    /// Opens the store, or makes it.
    /// - Parameter limit: how many bytes it may grow to.
    /// - Throws: `EWOULDBLOCK` where another process has it.
    init(root: String, limit: Int = .max) throws(KernelError) {
        self.root = root
        for directory in ["", "/repositories", "/uploads", "/tmp"] + RegistryStore.blobDirectories {
            // Private: whoever may read an image is for the registry to say.
            try makeDirectories(root + directory, mode: 0o700, why: "the registry's store")
        }
        lock = try RegistryStore.lock(root + "/lock")
        // Only the holder of the lock writes here; what is left is a dead process's.
        for name in try namesInDirectory(root + "/tmp") { unlink(root + "/tmp/" + name) }
        usage = StoreUsage(limit: limit, used: try RegistryStore.bytesUsed(below: root))
    }

    static let blobDirectories = Digest.Algorithm.allCases.map { "/blobs/" + $0.name }

    /// Where the store has the blob, whoever it belongs to.
    func blobPath(_ digest: Digest) -> String {
        "\(root)/blobs/\(digest.algorithm.name)/\(digest.hex)"
    }

    /// The repository called so, whether there is one or not.
    func repository(_ name: RepositoryName) -> Repository { Repository(name, in: self) }

    /// The names of all repositories, in order.
    func repositories() throws(KernelError) -> [RepositoryName] {
        try namesInDirectory(root + "/repositories").compactMap {
            RepositoryName(directoryName: $0)
        }
        .sorted { $0.description < $1.description }
    }

    /// Runs `body` while nobody else changes this repository.
    func changing<Result: Sendable, Failure: Error>(
        _ name: RepositoryName, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try writers.withLock(of: name, body)
    }

    /// Puts a small file in place whole or not at all.
    ///
    /// The temporary file is elsewhere: next to a tag, it would look like one.
    func place(_ text: String, at path: String) throws(KernelError) {
        let temporary = root + "/tmp/" + randomName()
        do throws(KernelError) {
            let file = try Descriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
            try file.write(text)
            if fsync(file.number) < 0 { throw KernelError("fsync", path, .current) }
            if rename(temporary, path) < 0 { throw KernelError("rename", path, .current) }
        } catch {
            unlink(temporary)
            throw error.renamed("write", path)
        }
        try syncDirectory(holding: path)
    }

    private static func lock(_ path: String) throws(KernelError) -> Descriptor {
        let file = try Descriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
        if flock(file.number, LOCK_EX | LOCK_NB) < 0 {
            throw KernelError(
                "flock", path, .current,
                remedy: "Another hull-registry has this store; stop it, or choose another --root.")
        }
        return file
    }

    private static func bytesUsed(below root: String) throws(KernelError) -> Int {
        var sum = 0
        for directory in blobDirectories {
            sum += try sizes(in: root + directory)
        }
        for name in try namesInDirectory(root + "/uploads") {
            sum += try sizes(in: root + "/uploads/" + name)
        }
        return sum
    }

    private static func sizes(in directory: String) throws(KernelError) -> Int {
        try namesInDirectory(directory).reduce(0) { sum, name in
            sum + (FileStatus(directory + "/" + name)?.size ?? 0)
        }
    }
}

/// What the store needs to know of a file. See `stat(2)`.
struct FileStatus {
    let size: Int
    /// How many names the file has.
    let links: Int
    /// When it was last written to, in seconds since 1970.
    let modified: Int

    /// Nil where nothing is. Symbolic links are not followed: the store makes none.
    init?(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    init?(_ file: borrowing Descriptor) {
        var status = stat()
        guard fstat(file.number, &status) == 0 else { return nil }
        self.init(status)
    }

    private init(_ status: stat) {
        size = Int(status.st_size)
        links = Int(status.st_nlink)
        modified = status.st_mtim.tv_sec
    }

    /// Whether nobody has written to it for so many seconds.
    func isOlder(than seconds: Int) -> Bool { time(nil) - modified >= seconds }
}
