import Images
import Isolation
import Kernel
import OCISpec

/// The files of a container, or of a stage's `--keep`, beside those of its image.
public struct ContainerFiles: Sendable {
    /// What they belong to.
    public let record: ContainerRecord
    private let directory: String

    /// Those in a container's directory, or in the one that a stage was told to keep.
    /// - Throws: `ENOENT` where there is no container in it.
    public init(in directory: String) throws(KernelError) {
        self.directory = directory
        record = try ContainerRecord(from: directory)
    }

    // book: begin container-diff
    /// What was changed, and what it is compared with.
    ///
    /// Snapshots of an earlier boot are made again first, where the image is there.
    public func diff(_ state: StateDirectories) throws(KernelError) -> LayerDiff {
        let copy = directory + "/root"
        let isCopy = fileType(copy) == .directory
        var layers = record.layers
        if record.manifest != nil {
            let store = ContentStore(stateRoot: state.root)
            let snapshots = Snapshots(
                stateRoot: state.root, driver: isCopy ? .copy : .overlay)
            layers = try snapshots.lowerDirectories(for: try image(in: store), in: store)
        }
        return try LayerDiff(
            of: isCopy ? .tree(copy) : .overlay(directory + "/upper"), on: layers)
    }
    // book: end container-diff

    /// The image that it was made of.
    /// - Throws: `EINVAL` where it was made of a directory.
    public func image(in store: ContentStore) throws(KernelError) -> Image {
        guard let manifest = record.manifest else {
            throw KernelError(
                "find image of", record.id, .invalidArgument,
                remedy: "It was made of the directory \(record.image); `hull image import` makes"
                    + " an image of one.")
        }
        return try store.image(manifest)
    }
}

extension [LayerChange] {
    /// Without what the engine itself made to mount on, where the image had none.
    public var byContainer: [LayerChange] {
        filter { $0.kind != .added || !mountPoints.contains($0.path) }
    }
}

private let mountPoints: Set<FileName> = Set(
    ["dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf"].map { Array($0.utf8) })
