import Glibc
import Kernel
import OCISpec
import struct Crypto.SHA256

/// Writes a blob: to a temporary file, then, once its hash is known, under that name.
///
/// A writer that goes without ``commit()`` takes its file with it.
final class BlobWriter: ByteSink {
    private let entry: ScratchEntry
    private let directory: String
    private var hash = SHA256()
    /// How many bytes there are so far.
    private(set) var size = 0
    private var isCommitted = false

    init(_ entry: consuming ScratchEntry, in directory: String) {
        self.entry = entry
        self.directory = directory
    }

    deinit { if !isCommitted { unlink(entry.path) } }

    func write(_ bytes: UnsafeRawBufferPointer) throws(KernelError) {
        var done = 0
        while done < bytes.count {
            let put = Glibc.write(
                entry.descriptor.number, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            let errno = Errno.current
            if put < 0 && errno == .interrupted { continue }
            guard put >= 0 else { throw KernelError("write", entry.path, errno) }
            done += put
        }
        hash.update(bufferPointer: bytes)
        size += bytes.count
    }

    /// The digest of what was written so far.
    var digest: Digest { Digest(bytes: hash.finalize()) }

    /// What was written so far, from the start.
    func content(progress: @escaping (Int) -> Void) throws(KernelError) -> some ByteSource {
        // A second descriptor of the same open file would share its position.
        let file = try Descriptor.open(entry.path, O_RDONLY)
        return FileSource(file, named: "the new layer", progress: progress)
    }

    /// Makes the blob last and gives it its name.
    func commit() throws(KernelError) {
        let path = directory + "/" + digest.hex
        if fchmod(entry.descriptor.number, 0o444) < 0 || fsync(entry.descriptor.number) < 0 {
            throw KernelError("fsync", path, .current)
        }
        // The same content has the same name: replacing it by itself changes nothing.
        if rename(entry.path, path) < 0 { throw KernelError("rename", path, .current) }
        isCommitted = true
        try syncDirectory(holding: path)
    }
}
