import Glibc
import Images
import Isolation
import Kernel
import OCISpec

/// What a collector has to leave, though no name may lead to it.
public struct ImagesInUse: Sendable {
    /// The manifests of images that containers and mounts are made of.
    public private(set) var manifests: Set<Digest> = []
    /// The chain ids of the snapshots that they use.
    public private(set) var chains: Set<Digest> = []

    /// Those of all containers, whether they run or not, and of all mounts of images.
    ///
    /// - Throws: where a record cannot be read: what is not known to be free is in use.
    public init(in state: StateDirectories) throws(KernelError) {
        for record in try Containers(state).records() { add(record.manifest, record.layers) }
        for mount in try ImageMounts(state).all() { add(mount.manifest, mount.layers) }
    }

    private mutating func add(_ manifest: ContentDescriptor?, _ layers: [String]) {
        if let digest = manifest?.digest { manifests.insert(digest) }
        chains.formUnion(layers.compactMap(Self.chain))
    }

    /// A layer's directory is called `…/CHAIN/fs`.
    private static func chain(of path: String) -> Digest? {
        let parts = split(path, at: "/")
        guard parts.count > 2, parts.last == "fs" else { return nil }
        let name = parts[parts.count - 2]
        return Digest.Algorithm.allCases.lazy.compactMap { try? Digest("\($0.name):\(name)") }.first
    }
}
