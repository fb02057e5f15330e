import CLinux
import Glibc
import Kernel

extension RunningControlGroup {
    /// The processes in it, and in those cgroups that they have made below it. Each once, sorted.
    public func processes() -> [ProcessID] {
        var numbers: [pid_t] = []
        // A process is in the cgroup of every hierarchy: one tells of all, unless it is not there.
        for directory in directories {
            Self.collect(directory, into: &numbers)
            if !numbers.isEmpty { break }
        }
        numbers.sort()
        var processes: [ProcessID] = []
        for number in numbers where processes.last?.rawValue != number {
            processes.append(ProcessID(rawValue: number))
        }
        return processes
    }

    private static func collect(_ directory: String, into numbers: inout [pid_t]) {
        let processes =
            readControl(directory + "/cgroup.procs")
            // A threaded cgroup of version 2 tells only of its threads.
            ?? readControl(directory + "/cgroup.threads") ?? ""
        for number in split(processes, at: "\n") {
            if let number = pid_t(number), number > 0 { numbers.append(number) }
        }
        for child in subdirectories(of: directory) {
            collect("\(directory)/\(child)", into: &numbers)
        }
    }

    /// Sends a signal to every process in it and below it.
    ///
    /// Killed, frozen ones are killed too; see `cgroup.kill` in the kernel's documentation.
    public func signalAll(_ signal: Int32) throws(KernelError) {
        if signal == SIGKILL {
            for directory in directories where fileType(directory) != nil {
                killProcesses(in: directory)
            }
            return
        }
        for process in processes() { try send(signal, to: process) }
    }

    /// The cgroup below `directory` that a process is in. See `cgroups(7)`, "/proc files".
    static func leaf(of process: ProcessID?, in directory: String) -> String? {
        guard let process, let groups = readControl("/proc/\(process.rawValue)/cgroup") else {
            return nil
        }
        for line in split(groups, at: "\n") where line.hasPrefix("0::") {
            let path = String(line.dropFirst(3))
            // What is below ours is known by what comes behind its name.
            let name = "/" + (split(directory, at: "/").last ?? "") + "/"
            var rest = path
            while !rest.isEmpty {
                if rest.hasPrefix(name) { return directory + "/" + rest.dropFirst(name.utf8.count) }
                rest = String(rest.dropFirst())
            }
        }
        return nil
    }
}

/// The cgroup of a container that runs, for one more process in it (`exec`).
public final class JoinedControlGroup: Mechanism {
    /// As the narrator calls it.
    public let name = "cgroup"
    private let directories: [String]
    private let neighbour: ProcessID?
    private var handle: CInt = -1
    private var entrances: ControlGroupEntrances?

    /// - Parameters:
    ///   - paths: where it is.
    ///   - below: a cgroup that the container has made in it, to be joined instead.
    ///   - neighbour: the container's first process.
    /// - Throws: `EINVAL` for a path that leads out of the container's.
    public init(
        _ paths: ControlGroupPaths, below: String? = nil, beside neighbour: ProcessID?
    ) throws(KernelError) {
        let rest = below.map { $0.hasPrefix("/") ? $0 : "/" + $0 } ?? ""
        guard !split(rest, at: "/").contains("..") else {
            throw KernelError(
                "cgroup", "\(below ?? ""): bad sub cgroup path", .invalidArgument,
                remedy: "It leads from the container's own downwards.")
        }
        directories = paths.directories.map { $0 + rest }
        self.neighbour = neighbour
    }

    deinit { if handle >= 0 { close(handle) } }

    /// Finds it.
    public func prepare() throws(KernelError) {
        var unified: String?
        entrances = try ControlGroupEntrances(directories, unified: &unified)
        guard let unified else { return }
        // A cgroup that hands controllers down takes no processes itself.
        let isInner = (readControl(unified + "/cgroup.subtree_control") ?? "") != ""
        let leaf = isInner ? RunningControlGroup.leaf(of: neighbour, in: unified) : nil
        handle = try Descriptor.open(leaf ?? unified, O_RDONLY | O_DIRECTORY).release()
    }

    /// In version 2 it is born there.
    public var cgroup: CInt? { handle >= 0 ? handle : nil }

    /// Where it goes in by itself.
    public var descriptors: [CInt] { entrances?.descriptors ?? [] }

    /// In version 1 it goes in by itself.
    public func enter() throws(KernelError) { try entrances?.enter() }
}
