import Glibc
import Kernel
import OCISpec

/// What is kept although no name leads to it.
public struct ImagesInUse: Sendable {
    /// Manifests of containers and of mounted images.
    public var manifests: [Digest]
    /// The chain ids of the snapshots that are mounted or that containers stand on.
    public var chains: [Digest]

    /// What containers and mounts use.
    public init(manifests: [Digest] = [], chains: [Digest] = []) {
        self.manifests = manifests
        self.chains = chains
    }
}

/// What a collection took away.
public struct GarbageFreed: Equatable, Sendable {
    /// Entries of index.json.
    public var entries: [ContentDescriptor] = []
    /// How many blobs.
    public var blobs = 0
    /// How many unpacked layers.
    public var snapshots = 0
    /// How many files of writers that are gone, and of downloads that nobody went on with.
    public var unfinished = 0
    /// How many bytes all that had.
    public var bytes = 0

    /// Nothing.
    public init() {}

    mutating func add(_ count: WritableKeyPath<GarbageFreed, Int>, bytes more: Int) {
        self[keyPath: count] += 1
        bytes += more
    }
}

/// Takes away what no name leads to: marks what is wanted, then sweeps the rest.
///
/// The roots are the entries of index.json, what containers and mounts use, and what running
/// programs have pinned. An index keeps its manifests, a manifest its configuration and its
/// layers, a configuration the snapshots of its layers.
///
/// Writers and the collector keep out of each other's way by one lock: a writer shares it from
/// its first blob to its tag, see ``ContentStore/hold()``, the collector has it alone. A collector
/// that is killed leaves fewer blobs without a name, and nothing else: the next one takes them.
public struct GarbageCollector: Sendable {
    private let store: ContentStore
    private let snapshots: [Snapshots]

    /// For the images below the state directory.
    public init(stateRoot: String) {
        store = ContentStore(stateRoot: stateRoot)
        snapshots = StorageDriver.allCases.map { Snapshots(stateRoot: stateRoot, driver: $0) }
    }

    // book: begin garbage-collect
    /// Collects.
    ///
    /// - Parameters:
    ///   - takesDownloads: whether downloads that were broken off go too.
    ///   - patience: for how many seconds to wait for writers.
    ///   - isUnwanted: whether an entry of index.json goes first; one that is in use stays.
    ///   - inUse: what containers and mounts use; asked for once nobody can begin to use more.
    /// - Returns: nil where there were still writers when the time was over.
    public func collect(
        takesDownloads: Bool, patience: Double,
        removing isUnwanted: (ContentDescriptor) -> Bool = { _ in false },
        inUse: () throws(KernelError) -> ImagesInUse
    ) throws(KernelError) -> GarbageFreed? {
        try store.makeLayout()
        guard let lock = try FileLock(store.leasePath, patience: patience) else { return nil }
        var marks = Marks(try inUse())
        for digest in marks.inUse.manifests + (try store.pinned()) { mark(digest, in: &marks) }
        var freed = GarbageFreed()
        try store.changeIndex { index in
            freed.entries = index.manifests.filter { isUnwanted($0) && !isInUse($0, marks) }
            index.manifests.removeAll { freed.entries.contains($0) }
        }
        for entry in try store.index().manifests { mark(entry, in: &marks, depth: 0) }
        try sweepBlobs(marks, &freed)
        try sweepSnapshots(marks, &freed)
        try sweepIngest(takesDownloads: takesDownloads, &freed)
        _ = consume lock
        return freed
    }
    // book: end garbage-collect
}

/// What is wanted.
private struct Marks {
    let inUse: ImagesInUse
    var blobs: Set<Digest> = []
    var chains: Set<Digest>

    init(_ inUse: ImagesInUse) {
        self.inUse = inUse
        chains = Set(inUse.chains)
    }
}

// Marking. What cannot be read keeps nothing: what it led to is of no use without it.
extension GarbageCollector {
    private static let depth = 8

    private func mark(_ entry: ContentDescriptor, in marks: inout Marks, depth: Int) {
        guard depth < GarbageCollector.depth, marks.blobs.insert(entry.digest).inserted else {
            return
        }
        if MediaType.isIndex(entry.mediaType) {
            guard let index = try? store.imageIndex(entry) else { return }
            for child in index.manifests { mark(child, in: &marks, depth: depth + 1) }
        } else {
            markManifest(entry, in: &marks)
        }
    }

    /// Whether it is one of the first roots, or an index of one.
    private func isInUse(_ entry: ContentDescriptor, _ marks: Marks) -> Bool {
        if marks.blobs.contains(entry.digest) { return true }
        guard MediaType.isIndex(entry.mediaType), let index = try? store.imageIndex(entry) else {
            return false
        }
        return index.manifests.contains { marks.blobs.contains($0.digest) }
    }

    /// A root that is known by its digest alone.
    private func mark(_ digest: Digest, in marks: inout Marks) {
        guard let size = store.size(of: digest) else { return }
        marks.blobs.insert(digest)
        markManifest(
            ContentDescriptor(mediaType: MediaType.manifest, digest: digest, size: size),
            in: &marks)
    }

    private func markManifest(_ entry: ContentDescriptor, in marks: inout Marks) {
        guard let manifest = try? store.manifest(entry) else { return }
        marks.blobs.insert(manifest.configuration.digest)
        marks.blobs.formUnion(manifest.layers.map(\.digest))
        guard let configuration = try? store.configuration(manifest.configuration) else { return }
        marks.chains.formUnion(Snapshots.chainIDs(configuration.diffIDs))
    }
}

// Sweeping.
extension GarbageCollector {
    private func sweepBlobs(_ marks: Marks, _ freed: inout GarbageFreed) throws(KernelError) {
        for algorithm in Digest.Algorithm.allCases {
            let directory = "\(store.path)/blobs/\(algorithm.name)"
            guard fileType(directory) != nil else { continue }
            for name in try namesInDirectory(directory) {
                // What is no digest is not ours to judge.
                guard let digest = try? Digest("\(algorithm.name):\(name)") else { continue }
                if marks.blobs.contains(digest) { continue }
                let size = store.size(of: digest) ?? 0
                guard unlink(store.blobPath(digest)) == 0 else {
                    throw KernelError("unlink", store.blobPath(digest), .current)
                }
                freed.add(\.blobs, bytes: size)
            }
        }
    }

    private func sweepSnapshots(_ marks: Marks, _ freed: inout GarbageFreed) throws(KernelError) {
        for snapshots in snapshots {
            for chain in try snapshots.all() where !marks.chains.contains(chain) {
                let size = snapshots.size(ofChain: chain) ?? 0
                try snapshots.remove(chain)
                freed.add(\.snapshots, bytes: size)
            }
        }
    }

    private func sweepIngest(
        takesDownloads: Bool, _ freed: inout GarbageFreed
    ) throws(KernelError) {
        let unpacking = snapshots.map { $0.path + "/unpacking" }
        for path in [store.ingest] + unpacking where fileType(path) != nil {
            let swept = try ScratchSpace(directory: path).sweep(takesDownloads: takesDownloads)
            for bytes in swept { freed.add(\.unfinished, bytes: bytes) }
        }
    }
}
