import Images
import Isolation
import Kernel
import OCISpec

/// What `hull run` is asked for.
public struct ContainerRequest: Sendable {
    /// What to call the image where the container is listed.
    public var image = ""
    /// The layers of the root file system, topmost first.
    public var layers: [String] = []
    /// The manifest of the image that they are from.
    public var manifest: ContentDescriptor?
    /// Whether the layers are stacked or copied.
    public var driver = StorageDriver.overlay
    /// Keeps the layers until the container's record names them.
    public var lease: HeldLease?
    /// The command and how it is connected.
    public var process: SandboxedProcess
    /// Everything else that is the container's own.
    public var parts: ContainerParts
    /// Whether nothing of the container is kept when it has ended (`--rm`).
    public var isThrowAway = false

    /// A container for `process`.
    public init(_ process: SandboxedProcess, in parts: ContainerParts) {
        self.process = process
        self.parts = parts
    }

    /// Makes the container, runs its command, and keeps or removes what it wrote.
    ///
    /// - Returns: the exit code of the command.
    public mutating func run(in state: StateDirectories) throws(KernelError) -> Int32 {
        let directory = try makeDirectory(in: state)
        let path = directory.path
        let id = directory.name
        var record = ContainerRecord(id: id, image: image, command: process.arguments)
        do throws(KernelError) {
            let group = parts.controlGroup(named: id)
            record.cgroup = try group?.locate() ?? []
            record.layers = layers
            record.manifest = manifest
            try record.write(to: path, durable: !isThrowAway)
            lease = nil
            try copyLayers(to: path)
            // book: begin container-run
            let list = try parts.mechanisms(
                named: id, lower: layers, upper: .made(path, isThrowAway: isThrowAway), in: group)
            var sandbox = Sandbox(list + [ProcessNote(in: path)], running: process)
            // book: end container-run
            let code = try sandbox.run().code
            if !isThrowAway {
                record.exitCode = Int(code)
                record.lackedMemory = group?.memoryKills ?? 0 > 0
                try record.write(to: path, durable: true)
            }
            try directory.release()
            return code
        } catch {
            // It never ran: there is nothing to keep.
            do { try removeTree(path) } catch {}
            throw error
        }
    }

    /// For the driver `copy`: the whole tree, for this container alone.
    private mutating func copyLayers(to directory: String) throws(KernelError) {
        guard driver == .copy, let topmost = layers.first else { return }
        let root = directory + "/root"
        try copyTree(topmost, to: root, why: "a tree of the container's own, to be written to")
        parts.filesystem.copiedRoot = root
    }

    /// Its name is the container's id.
    private func makeDirectory(
        in state: StateDirectories
    ) throws(KernelError) -> OwnedDirectory {
        if isThrowAway {
            return try OwnedDirectory(
                in: state.throwAwayContainers,
                why: "a place for what the container writes, gone when it is")
        }
        let path = "\(state.containers)/\(randomName())"
        try makeDirectories(path, mode: 0o711, why: "a place for what the container writes")
        return try OwnedDirectory(claiming: path)
    }
}
