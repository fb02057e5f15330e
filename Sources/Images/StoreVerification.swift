import Kernel
import OCISpec

extension ContentStore {
    /// Reads a blob back and takes its hash: the way out of doubt.
    ///
    /// - Parameter size: the length it has to have; nil where any will do.
    /// - Throws: `EBADMSG` where it is not what its digest says, `ENOENT` where it is not here.
    public func verify(_ digest: Digest, size: Int? = nil) throws(KernelError) {
        let name = blobPath(digest)
        let source = HashingSource(FileSource(try open(digest), named: name), digest.algorithm)
        let buffer = WorkBuffer()
        var count = 0
        while true {
            let got = try source.read(into: buffer.bytes)
            if got == 0 { break }
            count += got
        }
        if let size, size != count {
            throw corrupt(name, "It has \(count) bytes instead of \(size).")
        }
        guard source.digest == digest else {
            throw corrupt(name, "Its content has another digest; import or pull it again.")
        }
    }
}
