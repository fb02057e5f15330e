import Glibc
import Isolation
import Kernel

/// A container and whether it runs.
public struct Container: Sendable {
    /// What is known of it.
    public let record: ContainerRecord
    /// Its directory.
    public let directory: String
    /// Whether the process that owns it is alive.
    public let isRunning: Bool

    /// The state in words, for people.
    public var state: String {
        if isRunning { return controlGroup.isFrozen ? "paused" : "running" }
        let reason = record.lackedMemory ? ", out of memory" : ""
        return record.exitCode.map { "exited (\($0)\(reason))" } ?? "killed"
    }

    /// Its cgroup, to be read and frozen.
    public var controlGroup: RunningControlGroup {
        RunningControlGroup(directories: record.cgroup)
    }
}

/// The containers of this machine, as their directories tell.
///
/// There is no daemon to ask. A container runs for as long as its owner holds the lock on
/// its directory, and the kernel takes that lock from whoever dies.
public struct Containers: Sendable {
    private let state: StateDirectories

    /// Those below `state`.
    public init(_ state: StateDirectories) { self.state = state }

    /// All of them, the oldest first; what killed owners left of throw-away ones is swept first.
    public func all() throws(KernelError) -> [Container] {
        OwnedDirectory.sweep(state.throwAwayContainers)
        OwnedDirectory.sweep(state.scratch)
        try ControlGroup.sweep()
        try BridgeNetwork.sweep()
        var found: [Container] = []
        for parent in [state.containers, state.throwAwayContainers] {
            guard fileType(parent) != nil else { continue }
            for id in try namesInDirectory(parent) {
                if let container = container("\(parent)/\(id)") { found.append(container) }
            }
        }
        return found.sorted { $0.record.created < $1.record.created }
    }

    /// What is known of each, and nothing else.
    /// - Throws: where one cannot be read.
    func records() throws(KernelError) -> [ContainerRecord] {
        var records: [ContainerRecord] = []
        for parent in [state.containers, state.throwAwayContainers]
        where fileType(parent) != nil {
            for id in try namesInDirectory(parent) {
                do { records.append(try ContainerRecord(from: "\(parent)/\(id)")) } catch
                    where error.errno == .noSuchFile
                {
                    // Just being made, or a killed one's that the next sweep takes.
                }
            }
        }
        return records
    }

    /// The container whose id begins with `prefix`.
    ///
    /// - Parameter purpose: what an error says was tried, such as `remove container`.
    /// - Throws: `ENOENT` where there is none, `EINVAL` where there are several.
    public func find(_ prefix: String, to purpose: String) throws(KernelError) -> Container {
        let matches = try all().filter { !prefix.isEmpty && $0.record.id.hasPrefix(prefix) }
        guard let container = matches.first else {
            throw KernelError(
                purpose, prefix.isEmpty ? "\"\"" : prefix, .noSuchFile,
                remedy: "`hull ps -a` lists them.")
        }
        if matches.count > 1 {
            throw KernelError(
                purpose, prefix, .invalidArgument,
                remedy: "\(matches.count) ids begin so; give more of it.")
        }
        return container
    }

    /// A running container whose id begins with `prefix`.
    /// - Throws: what ``find(_:to:)`` throws, and `ESRCH` where it has ended.
    public func findRunning(_ prefix: String, to purpose: String) throws(KernelError) -> Container {
        let container = try find(prefix, to: purpose)
        if container.isRunning { return container }
        throw KernelError(
            purpose, container.record.id, .noSuchProcess,
            remedy: "It has ended; `hull ps` lists"
                + " those that run.")
    }

    /// Removes the container whose id begins with `prefix`.
    /// - Throws: what ``find(_:to:)`` throws, and `EBUSY` where it runs.
    public func remove(_ prefix: String) throws(KernelError) {
        let container = try find(prefix, to: "remove container")
        if container.isRunning {
            throw KernelError(
                "remove container", container.record.id, .busy,
                remedy: "It is running; end its command first.")
        }
        let lock = try OwnedDirectory(claiming: container.directory)
        try removeTree(container.directory)
        try lock.release()
    }

    /// nil for a directory that is just being made or removed.
    private func container(_ directory: String) -> Container? {
        do {
            let record = try ContainerRecord(from: directory)
            return Container(
                record: record, directory: directory,
                isRunning: OwnedDirectory.isOwned(directory))
        } catch {
            return nil
        }
    }
}
