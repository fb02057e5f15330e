import Glibc
import Isolation
import Kernel
import OCISpec

/// Keeps what later commands have to know, from before anything is made that they would have to
/// remove until it is gone.
final class ContainerRecord: Mechanism {
    let name = "record"
    let directory: ContainerDirectory
    private let bundle: Bundle
    private let group: BundleControlGroup
    private let isKept: Bool
    private var isReserved = false
    /// Tells those who find the directory that somebody is at work on it.
    private var lock: OwnedDirectory?

    /// - Parameter isKept: whether the record stays when the container has ended.
    init(
        in directory: ContainerDirectory, of bundle: Bundle, group: BundleControlGroup,
        isKept: Bool
    ) {
        self.directory = directory
        self.bundle = bundle
        self.group = group
        self.isKept = isKept
    }

    /// Takes the name, before anything is made that somebody might have to find: of two that want
    /// it, one makes the directory.
    /// - Throws: `EEXIST` where there is such a container.
    func prepare() throws(KernelError) {
        if isReserved { return }
        try makeDirectories(root, mode: 0o711, why: "a directory for each container")
        do { try makeDirectory(path, mode: 0o711, why: "what is known of the container") } catch {
            guard error.errno == .fileExists else { throw error }
            guard Self.sweep(directory) else {
                throw KernelError(
                    "container", "\(directory.id): container with given ID already exists",
                    .fileExists, remedy: "Choose another ID, or `hull-runtime delete` it first.")
            }
            try makeDirectory(path, mode: 0o711, why: "what is known of the container")
        }
        isReserved = true
        lock = try OwnedDirectory(claiming: path)
    }

    /// Removes what was left by somebody who was killed before there was a container.
    /// - Returns: whether there was such a thing.
    static func sweep(_ directory: ContainerDirectory) -> Bool {
        guard fileType(directory.path) != nil, fileType(directory.stateFile) == nil,
            !OwnedDirectory.isOwned(directory.path)
        else { return false }
        do { try removeTree(directory.path) } catch { return false }
        return true
    }

    private var path: String { directory.path }

    private var root: String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    }

    /// From here on there is a process to be found and ended.
    func adopt(_ child: ProcessID) throws(KernelError) {
        try replaceFile(
            directory.configurationFile, with: bundle.bytes, mode: 0o600, durable: false)
        let state = ContainerState(
            of: bundle.configuration, id: directory.id, bundle: bundle.directory,
            rootfs: bundle.rootfs, process: try RunningProcess(child),
            controlGroup: group.paths)
        try replaceFile(
            directory.stateFile, with: state.json.text().utf8, mode: 0o600, durable: false)
        lock = nil
    }

    /// Forgets it.
    func release() throws(KernelError) {
        guard isReserved, !isKept else { return }
        try removeTree(directory.path)
        isReserved = false
    }
}
