import CLinux
import Glibc
import Kernel
import OCISpec

/// Layers, unpacked once and shared by all images and containers that are built on them.
///
///     ROOT/snapshots/CHAIN/fs      a lower directory for overlayfs
///     ROOT/snapshots/CHAIN/size    how many bytes its files have
///     ROOT/snapshots/unpacking/    layers that are being unpacked
///
/// CHAIN is the layer's chain id: the same archive on top of other layers is another snapshot.
/// See image-spec, config.md, "Layer ChainID".
public struct Snapshots: Sendable {
    /// The directory that they are in.
    public let path: String

    /// The snapshots below the state directory; nothing is made before something is unpacked.
    public init(stateRoot: String) { path = stateRoot + "/snapshots" }

    /// The directories for overlayfs's `lowerdir=`, the topmost first, as it wants them.
    ///
    /// What is not unpacked yet is unpacked now; otherwise it costs one look at each layer.
    public func lowerDirectories(
        for image: Image, in store: ContentStore, progress: @escaping ProgressHandler = { _ in }
    ) throws(KernelError) -> [String] {
        var directories: [String] = []
        let chains = Snapshots.chainIDs(image.configuration.diffIDs)
        for (index, layer) in image.manifest.layers.enumerated() {
            let directory = path + "/" + chains[index].hex
            if access(directory, F_OK) < 0 {
                let source = try store.source(layer) { done in
                    progress(Progress(step: "Unpacking", done: done, total: layer.size))
                }
                let name = "layer \(layer.digest.short)"
                try add(
                    chains[index], try unpacked(source, named: name), named: name,
                    diffID: image.configuration.diffIDs[index])
            }
            directories.insert(directory + "/fs", at: 0)
        }
        return directories
    }

    /// Whether the layer is unpacked, with everything in it.
    public func has(_ chain: Digest) -> Bool { access(path + "/" + chain.hex, F_OK) == 0 }

    /// The chain id of each layer, the lowest first.
    public static func chainIDs(_ diffIDs: [Digest]) -> [Digest] {
        var chains: [Digest] = []
        for diffID in diffIDs {
            let chain = chains.last.map { digest(of: "\($0) \(diffID)".utf8) }
            chains.append(chain ?? diffID)
        }
        return chains
    }

    /// Unpacks an archive as the snapshot `chain`. All of it comes in place at once, or nothing.
    ///
    /// - Throws: `EBADMSG` where the archive is not what `diffID` says.
    public func add(
        _ chain: Digest, _ archive: some ByteSource, named name: String, diffID: Digest
    ) throws(KernelError) {
        let scratch = try ScratchSpace(directory: path + "/unpacking").makeDirectory()
        do throws(KernelError) {
            let size = try unpack(
                HashingSource(archive, diffID.algorithm), named: name, into: scratch.path + "/fs",
                diffID)
            try replaceFile(scratch.path + "/size", with: "\(size)\n".utf8, durable: false)
            // All its files have to outlive a power cut before the name says that they are there.
            if syncfs(scratch.descriptor.number) < 0 {
                throw KernelError("syncfs", scratch.path, .current)
            }
            try put(scratch.path, inPlaceOf: chain)
        } catch {
            try? removeTree(scratch.path)
            throw error
        }
    }

    private func unpack(
        _ archive: HashingSource, named name: String, into directory: String, _ diffID: Digest
    ) throws(KernelError) -> Int {
        if mkdir(directory, 0o755) < 0 { throw KernelError("mkdir", directory, .current) }
        let root = try Descriptor.open(directory, O_RDONLY | O_DIRECTORY)
        // mkdir takes the umask off, and an archive need not say what its root is like.
        if fchmod(root.number, 0o755) < 0 { throw KernelError("fchmod", directory, .current) }
        var unpacker = try LayerUnpacker(into: root, named: name)
        try unpacker.unpack(TarReader(archive, named: name))
        // The hash is that of the whole archive, with what follows the end mark.
        try archive.drain()
        guard archive.digest == diffID else {
            throw corrupt(name, "Its content is not what the image's configuration says.")
        }
        return unpacker.size
    }

    private func put(_ directory: String, inPlaceOf chain: Digest) throws(KernelError) {
        let target = path + "/" + chain.hex
        if rename(directory, target) < 0 {
            let errno = Errno.current
            guard errno == .notEmpty || errno == .fileExists else {
                throw KernelError("rename", target, errno)
            }
            // Another process was quicker; its snapshot is the same.
            try removeTree(directory)
        }
        try syncDirectory(holding: target)
    }

    /// How many bytes the image's files have; nil where it is not unpacked.
    func size(of image: Image) -> Int? {
        var sum = 0
        for chain in Snapshots.chainIDs(image.configuration.diffIDs) {
            guard let text = try? readText("\(path)/\(chain.hex)/size"),
                let size = Int(text.filter { $0 != "\n" })
            else { return nil }
            sum += size
        }
        return sum
    }
}

/// The archive in `source`, whether it is packed or not.
public func unpacked(
    _ source: some ByteSource, named name: String
) throws(KernelError) -> PeekedSource {
    let source = try PeekedSource(source, count: 6)
    if source.head.starts(with: [0x1F, 0x8B]) {
        return try PeekedSource(GzipSource(source, named: name), count: 0)
    }
    let others: [(magic: [UInt8], program: String)] = [
        ([0x28, 0xB5, 0x2F, 0xFD], "zstd"), ([0xFD, 0x37, 0x7A, 0x58, 0x5A], "xz"),
        ([0x42, 0x5A, 0x68], "bzip2"),
    ]
    for other in others where source.head.starts(with: other.magic) {
        throw corrupt(
            name, "It is packed by \(other.program); unpack it with `\(other.program) -d`.")
    }
    return source
}
