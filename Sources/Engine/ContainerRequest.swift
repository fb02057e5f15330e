import Isolation
import Kernel
import OCISpec

/// What `hull run` is asked for.
public struct ContainerRequest: Sendable {
    /// What to call the image where the container is listed.
    public var image = ""
    /// The layers of the root file system, topmost first.
    public var layers: [String] = []
    /// The command and how it is connected.
    public var process: SandboxedProcess
    /// Volumes, memory, the working directory.
    public var filesystem = ContainerFilesystem()
    /// As whom the command runs, and what it may do.
    public var privileges = ContainerPrivileges()
    /// What it may use of the machine.
    public var limits = ContainerLimits()
    /// Names, shared memory, ids and clocks.
    public var identity: ContainerIdentity
    /// Whether the container has a network with nothing but loopback.
    public var hasEmptyNetwork = false
    /// Whether nothing of the container is kept when it has ended (`--rm`).
    public var isThrowAway = false

    /// A container for `process`.
    public init(_ process: SandboxedProcess, as identity: ContainerIdentity) {
        self.process = process
        self.identity = identity
    }

    /// Makes the container, runs its command, and keeps or removes what it wrote.
    ///
    /// - Returns: the exit code of the command.
    public func run(in state: StateDirectories) throws(KernelError) -> Int32 {
        let directory = try makeDirectory(in: state)
        let path = directory.path
        let id = directory.name
        var record = ContainerRecord(id: id, image: image, command: process.arguments)
        do throws(KernelError) {
            let group = limits.controlGroup(named: id)
            record.cgroup = try group.locate()
            try record.write(to: path, durable: !isThrowAway)
            var sandbox = Sandbox(try mechanisms(id, path, group), running: process)
            let code = try sandbox.run().code
            if !isThrowAway {
                record.exitCode = Int(code)
                record.lackedMemory = group.memoryKills > 0
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

    // book: begin container-run
    private func mechanisms(
        _ id: String, _ directory: String, _ group: ControlGroup
    ) throws(KernelError) -> [any Mechanism] {
        let root = OverlayRoot(
            lower: layers, upper: .made(directory, isThrowAway: isThrowAway),
            mapsOwners: identity.hasUserNamespace)
        var filesystem = filesystem
        if identity.hasUserNamespace { filesystem.isInUserNamespace = true }
        var list: [any Mechanism] = identity.first + [group]
        list += try filesystem.mechanisms(on: root, in: group)
        list += try identity.mechanisms(named: id)
        if hasEmptyNetwork { list.append(EmptyNetwork()) }
        list += try privileges.mechanisms()
        return list
    }
    // book: end container-run

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
