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
    /// The host name; the container's id where there is none.
    public var hostName: String?
    /// Whether the container has a network with nothing but loopback.
    public var hasEmptyNetwork = false
    /// Whether nothing of the container is kept when it has ended (`--rm`).
    public var isThrowAway = false

    /// A container for `process`.
    public init(_ process: SandboxedProcess) { self.process = process }

    /// Makes the container, runs its command, and keeps or removes what it wrote.
    ///
    /// - Returns: the exit code of the command.
    public func run(in state: StateDirectories) throws(KernelError) -> Int32 {
        let directory = try makeDirectory(in: state)
        let path = directory.path
        let id = directory.name
        var record = ContainerRecord(id: id, image: image, command: process.arguments)
        do throws(KernelError) {
            try record.write(to: path, durable: !isThrowAway)
            var sandbox = Sandbox(try mechanisms(id, path), running: process)
            let code = try sandbox.run().code
            if !isThrowAway {
                record.exitCode = Int(code)
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
        _ id: String, _ directory: String
    ) throws(KernelError) -> [any Mechanism] {
        let root = OverlayRoot(
            lower: layers, upper: .made(directory, isThrowAway: isThrowAway),
            context: privileges.seLinux?.files)
        var list = try filesystem.mechanisms(on: root)
        list += [try HostName(hostName ?? id), IPCNamespace()]
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
