import CLinux
import Glibc
import Kernel
import OCISpec

/// Layers, unpacked once and shared by all images and containers that are built on them.
///
///     ROOT/snapshots/CHAIN/fs        a lower directory for overlayfs
///     ROOT/copies/CHAIN/fs           the same for the driver `copy`: the whole tree
///     ROOT/snapshots/CHAIN/size      how many bytes its files have
///     ROOT/snapshots/CHAIN/parent    which one lies below
///     ROOT/snapshots/CHAIN/boot      when it was made, or
///     ROOT/snapshots/CHAIN/synced    that it has reached the disk: see ``SnapshotAge``
///     ROOT/snapshots/unpacking/      layers that are being unpacked
///
/// CHAIN is the layer's chain id: the same archive on top of other layers is another snapshot.
/// See image-spec, config.md, "Layer ChainID".
public struct Snapshots: Sendable {
    /// The directory that they are in.
    public let path: String

    /// How they are kept.
    public let driver: StorageDriver

    /// The snapshots below the state directory; nothing is made before something is unpacked.
    public init(stateRoot: String, driver: StorageDriver = .overlay) {
        path = stateRoot + (driver == .overlay ? "/snapshots" : "/copies")
        self.driver = driver
    }

    /// The directories for overlayfs's `lowerdir=`, the topmost first, as it wants them; with the
    /// driver `copy`, the one with the whole tree.
    ///
    /// What is not unpacked yet is unpacked now; otherwise it costs one look at each layer.
    public func lowerDirectories(
        for image: Image, in store: ContentStore, progress: @escaping ProgressHandler = { _ in }
    ) throws(KernelError) -> [String] {
        var directories: [String] = []
        let chains = Snapshots.chainIDs(image.configuration.diffIDs)
        for (index, layer) in image.manifest.layers.enumerated() {
            if !has(chains[index]) {
                let source = try store.source(layer) { done in
                    progress(Progress(step: "Unpacking", done: done, total: layer.size))
                }
                let name = "layer \(layer.digest.short)"
                try add(
                    chains[index], on: index > 0 ? chains[index - 1] : nil,
                    try unpacked(source, named: name), named: name,
                    diffID: image.configuration.diffIDs[index])
            }
            directories.append(directory(of: chains[index]) + "/fs")
        }
        return driver == .overlay ? directories.reversed() : directories.suffix(1)
    }

    /// Whether the layer is unpacked, with everything in it.
    public func has(_ chain: Digest) -> Bool {
        SnapshotAge(directory: directory(of: chain)).isWhole
    }

    private func directory(of chain: Digest) -> String { path + "/" + chain.hex }

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
    /// - Parameter parent: the layer below, which the driver `copy` wants to have unpacked already.
    /// - Throws: `EBADMSG` where the archive is not what `diffID` says.
    public func add(
        _ chain: Digest, on parent: Digest?, _ archive: some ByteSource, named name: String,
        diffID: Digest
    ) throws(KernelError) {
        try? noteWhatIsOnDisk()
        let scratch = try ScratchSpace(directory: unpacking).makeDirectory()
        do throws(KernelError) {
            try makeTree(scratch.path + "/fs", on: parent)
            let size = try unpack(
                HashingSource(archive, diffID.algorithm), named: name, into: scratch.path + "/fs",
                diffID, on: parent)
            if let parent {
                try replaceFile(
                    scratch.path + "/parent", with: "\(parent)\n".utf8, durable: false)
            }
            try replaceFile(scratch.path + "/size", with: "\(size)\n".utf8, durable: false)
            let age = SnapshotAge(directory: scratch.path)
            try age.write()
            // Made for the second time, after a start of the machine: not for a third time.
            if SnapshotAge(directory: directory(of: chain)).isDoubtful { try age.sync() }
            try put(scratch.path, inPlaceOf: chain)
        } catch {
            try? removeTree(scratch.path)
            throw error
        }
    }

    private var unpacking: String { path + "/unpacking" }

    /// Waits for the disk where that takes no time, so that the next start of the machine does
    /// not cost these snapshots.
    private func noteWhatIsOnDisk() throws(KernelError) {
        let written = try all().map { SnapshotAge(directory: directory(of: $0)) }
            .filter(\.isLikelyOnDisk)
        guard let first = written.first else { return }
        try first.sync()
        for age in written.dropFirst() { try age.markAsSynced() }
    }

    /// The chain ids of what is unpacked.
    public func all() throws(KernelError) -> [Digest] {
        guard fileType(path) == .directory else { return [] }
        return try namesInDirectory(path).compactMap { name in
            Digest.Algorithm.allCases.lazy.compactMap { try? Digest("\($0.name):\(name)") }.first
        }
    }

    /// Removes what is unpacked of a layer. Nobody may be using it.
    public func remove(_ chain: Digest) throws(KernelError) {
        let lock = try FileLock(path + "/lock")
        try bury(chain)
        _ = consume lock
    }

    private func makeTree(_ directory: String, on parent: Digest?) throws(KernelError) {
        if driver == .copy, let parent {
            return try copyTree(
                self.directory(of: parent) + "/fs", to: directory,
                why: "the layers below, to be changed")
        }
        if mkdir(directory, 0o755) < 0 { throw KernelError("mkdir", directory, .current) }
        // mkdir takes the umask off, and an archive need not say what its root is like.
        if chmod(directory, 0o755) < 0 { throw KernelError("chmod", directory, .current) }
    }

    private func unpack(
        _ archive: HashingSource, named name: String, into directory: String, _ diffID: Digest,
        on parent: Digest?
    ) throws(KernelError) -> Int {
        let root = try Descriptor.open(directory, O_RDONLY | O_DIRECTORY)
        var unpacker = try LayerUnpacker(
            into: root, named: name, holdsLower: driver == .copy,
            lower: driver == .copy ? [] : directories(below: parent))
        try unpacker.unpack(TarReader(archive, named: name))
        // The hash is that of the whole archive, with what follows the end mark.
        try archive.drain()
        guard archive.digest == diffID else {
            throw corrupt(name, "Its content is not what the image's configuration says.")
        }
        return unpacker.size
    }

    /// What is unpacked of the layers below, the topmost first, as far as it is.
    private func directories(below top: Digest?) -> [String] {
        var directories: [String] = []
        var chain = top
        while let current = chain, has(current) {
            directories.append(directory(of: current) + "/fs")
            let text = try? readText(directory(of: current) + "/parent")
            chain = text.flatMap { try? Digest(String($0.dropLast())) }
        }
        return directories
    }

    private func put(_ directory: String, inPlaceOf chain: Digest) throws(KernelError) {
        let target = self.directory(of: chain)
        let lock = try FileLock(path + "/lock")
        // Another process may have been quicker, and its snapshot is the same and in use.
        if has(chain) { return try removeTree(directory) }
        // One of an earlier boot: nobody uses it in this one.
        try bury(chain)
        if rename(directory, target) < 0 { throw KernelError("rename", target, .current) }
        _ = consume lock
    }

    /// Out of sight at once, before it is taken apart.
    private func bury(_ chain: Digest) throws(KernelError) {
        if access(directory(of: chain), F_OK) < 0 { return }
        let grave = try ScratchSpace(directory: unpacking).makeDirectory()
        if rename(directory(of: chain), grave.path + "/old") < 0 {
            throw KernelError("rename", directory(of: chain), .current)
        }
        try removeTree(grave.path)
    }

    /// How many bytes the image's files have; nil where it is not unpacked.
    func size(of image: Image) -> Int? {
        var sum = 0
        for chain in Snapshots.chainIDs(image.configuration.diffIDs) {
            guard let size = size(ofChain: chain) else { return nil }
            sum += size
        }
        return sum
    }

    /// How many bytes the files of one layer have; nil where it is not unpacked.
    public func size(ofChain chain: Digest) -> Int? {
        guard let text = try? readText(directory(of: chain) + "/size") else { return nil }
        return Int(text.filter { $0 != "\n" })
    }
}
