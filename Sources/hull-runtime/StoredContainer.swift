import CLinux
import Glibc
import Isolation
import Kernel
import OCISpec

/// The directory of a container below the runtime's root.
///
///     state.json    what is known of it
///     config.json   its configuration, as it was when it was created
///     exec.fifo     the gate that its process waits at, until it is started
struct ContainerDirectory {
    let id: String
    let path: String

    /// - Throws: `EINVAL` for a name that could not be a directory's, or would lead out of `root`.
    init(_ id: String, in root: String) throws(KernelError) {
        let isName =
            !id.isEmpty && id != "." && id != ".." && id.utf8.count <= 255
            && id.unicodeScalars.allSatisfy { scalar in
                switch scalar {
                case "a"..."z", "A"..."Z", "0"..."9", "_", "+", "-", ".": true
                default: false
                }
            }
        guard isName else {
            throw KernelError(
                "container", "\"\(id)\": invalid container ID format", .invalidArgument,
                remedy: "It is made of letters, digits and _ + - . only.")
        }
        self.id = id
        path = "\(root)/\(id)"
    }

    var stateFile: String { path + "/state.json" }
    var configurationFile: String { path + "/config.json" }
    var gate: String { path + "/exec.fifo" }
}

/// A container that has been created and not deleted yet.
struct StoredContainer {
    let directory: ContainerDirectory
    let state: ContainerState

    /// - Throws: `ENOENT` where there is no such container.
    init(_ id: String, in root: String) throws(KernelError) {
        directory = try ContainerDirectory(id, in: root)
        let bytes: [UInt8]
        do { bytes = try readFile(directory.stateFile) } catch {
            guard error.errno == .noSuchFile || error.errno == .notDirectory else { throw error }
            throw KernelError(
                "container", "\(id): container does not exist", .noSuchFile,
                remedy: "`hull-runtime list` shows those that there are.")
        }
        do throws(SpecificationError) {
            state = try ContainerState(JSONReader(try JSON.parse(bytes, from: "state.json")))
        } catch {
            throw KernelError(
                "read", directory.stateFile, .invalidArgument, remedy: "It is damaged (\(error)).")
        }
    }

    /// How it is now.
    var status: ContainerStatus {
        guard state.process.isRunning else { return .stopped }
        if fileType(directory.gate) != nil { return .created }
        return controlGroup.isFrozen ? .paused : .running
    }

    /// Its cgroup.
    var controlGroup: RunningControlGroup { state.controlGroup.running }

    /// Its configuration, as it was when it was created.
    func configuration() throws(KernelError) -> RuntimeConfiguration {
        try Bundle.parse(try readFile(directory.configurationFile), directory.configurationFile)
    }

    /// Everything with a directory below `root`, by name. What is damaged is left out.
    static func all(in root: String) throws(KernelError) -> [StoredContainer] {
        guard fileType(root) != nil else { return [] }
        var containers: [StoredContainer] = []
        for name in try namesInDirectory(root) {
            if let container = try? StoredContainer(name, in: root) { containers.append(container) }
        }
        return containers
    }
}
