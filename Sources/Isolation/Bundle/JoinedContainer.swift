import CLinux
import Glibc
import Kernel

/// All namespaces of a container that runs: a process more is to be in it (`exec`).
///
/// The kernel takes them from the container's own process, all in one call, through a descriptor
/// that can't come to stand for another one. See `pidfd_open(2)` and `setns(2)`.
public final class JoinedContainer: Mechanism {
    /// As the narrator calls it.
    public let name = "container's namespaces"
    private let process: RunningProcess
    private var handle: CInt?
    private var kinds = Namespaces()
    /// An ordinary user has to be root of the user namespace first, even to choose where
    /// process numbers come from.
    private var isBornAsRoot = false

    /// - Parameter process: the container's own.
    public init(_ process: RunningProcess) { self.process = process }

    private static let all: [Namespaces] = [
        .user, .mount, .cgroup, .uts, .ipc, .network, .pid, .time,
    ]

    /// Finds out which of its namespaces are not ours: to enter the own ones is an error for some.
    public func prepare() throws(KernelError) {
        let number = pidfd_open(process.id.rawValue, 0)
        guard number >= 0 else { throw ended(.current) }
        handle = number
        for kind in Self.all where isForeign(kind.fileName) { kinds.insert(kind) }
        isBornAsRoot = geteuid() != 0 && kinds.isSuperset(of: [.user, .pid])
        // Now that we hold the process: had the number gone to another one, it would be that one.
        guard process.isRunning else { throw ended(.noSuchProcess) }
    }

    private func isForeign(_ name: String) -> Bool {
        var (theirs, ours) = (stat(), stat())
        return stat("/proc/\(process.id.rawValue)/ns/\(name)", &theirs) == 0
            && stat("/proc/self/ns/\(name)", &ours) == 0
            && (theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev)
    }

    private func ended(_ errno: Errno) -> KernelError {
        KernelError(
            "exec in container of process", "\(process.id.rawValue)", errno,
            remedy: "container not running: it has ended.")
    }

    /// The container's process.
    public var descriptors: [CInt] { handle.map { [$0] } ?? [] }

    /// Process numbers are those that it is born with.
    public var birthplaces: [OpenNamespace] {
        guard let handle, kinds.contains(.pid) else { return [] }
        let place = OpenNamespace(.pid, handle)
        return isBornAsRoot ? [OpenNamespace(.user, handle), place] : [place]
    }

    /// Moves into all others at once: the kernel looks after the order.
    public func enter() throws(KernelError) {
        guard let handle else { return }
        // Those who are there already must not look into it before it is the command
        // (CVE-2016-9962).
        becomeUndumpable()
        let others = kinds.subtracting(isBornAsRoot ? [.user, .pid] : .pid)
        if !others.isEmpty {
            try enterNamespace(handle, others, why: "from here on it is where the container is")
        }
        if kinds.contains(.user) { try becomeRootOfUserNamespace() }
    }

    /// Lets go of the process.
    public func release() throws(KernelError) {
        if let handle { close(handle) }
        handle = nil
    }
}
