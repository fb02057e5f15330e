import Glibc
import Kernel
import OCISpec

/// Where the files of an image archive wait until it is clear what they are.
///
/// They are numbered: what an archive calls its files never becomes a path of ours. What is not
/// moved into the store goes with the area, and with a process that is killed.
final class StagingArea {
    private let store: ContentStore
    private let scratch: ScratchEntry
    private var count = 0

    init(in store: ContentStore) throws(KernelError) {
        try store.makeLayout()
        self.store = store
        scratch = try ScratchSpace(directory: store.ingest).makeDirectory()
    }

    deinit { try? removeTree(scratch.path) }

    /// Puts a file aside and takes its digest on the way.
    func add(
        _ content: some ByteSource, _ algorithm: Digest.Algorithm = .sha256
    ) throws(KernelError) -> StagedFile {
        count += 1
        let path = "\(scratch.path)/\(count)"
        let file = try Descriptor.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        let hash = HashingSource(content, algorithm)
        let sink = FileSink(file, named: "the content store")
        let size = try hash.copyAndCount(to: sink)
        return StagedFile(path: path, digest: hash.digest, size: size)
    }

    /// Makes a blob of the store from a file; nothing happens where it has become one already.
    func keep(_ file: StagedFile) throws(KernelError) {
        if access(file.path, F_OK) < 0 && store.has(file.digest) { return }
        try store.putInPlace(file.path, try Descriptor.open(file.path, O_RDONLY), as: file.digest)
    }
}

/// A file of an image archive, put aside.
struct StagedFile {
    fileprivate(set) var path: String
    /// Of all that is in it, whatever the archive says of it.
    let digest: Digest
    /// In bytes.
    let size: Int

    /// Its content.
    func open(progress: @escaping (Int) -> Void = { _ in }) throws(KernelError) -> FileSource {
        FileSource(
            try Descriptor.open(path, O_RDONLY), named: "blob \(digest.short)", progress: progress)
    }

    /// Reads it as JSON; errors call it `name`.
    /// - Throws: `EFBIG` where it is longer than any manifest.
    func json(named name: String) throws(KernelError) -> JSONReader {
        guard size <= ContentStore.documentLimit else {
            throw KernelError(
                "read", name, Errno(rawValue: EFBIG),
                remedy: "It has \(size) bytes; a manifest or configuration has up to 4 MiB.")
        }
        let bytes: [UInt8]
        do { bytes = try readFile(path) } catch { throw error.renamed("read", name) }
        do { return JSONReader(try JSON.parse(bytes)) } catch {
            throw error.asKernelError(reading: name)
        }
    }
}

extension ByteSource {
    /// Passes everything on and says how many bytes it was.
    fileprivate func copyAndCount(to sink: some ByteSink) throws(KernelError) -> Int {
        let buffer = WorkBuffer()
        var total = 0
        while true {
            let count = try read(into: buffer.bytes)
            if count == 0 { return total }
            try sink.write(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
            total += count
        }
    }
}
