import Kernel
import OCISpec

// Until the drivers have their own.
extension Snapshots {
    func all() throws(KernelError) -> [Digest] {
        guard fileType(path) == .directory else { return [] }
        return try namesInDirectory(path).compactMap { try? Digest("sha256:\($0)") }
    }

    func remove(_ chain: Digest) throws(KernelError) { try removeTree(path + "/" + chain.hex) }

    public func size(ofChain chain: Digest) -> Int? {
        guard let text = try? readText("\(path)/\(chain.hex)/size") else { return nil }
        return Int(text.filter { $0 != "\n" })
    }
}
