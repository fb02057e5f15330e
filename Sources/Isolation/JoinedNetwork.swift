import CLinux
import Glibc
import Kernel

/// The network of another container (`--network container:ID`). See `setns(2)`.
///
/// The two see the same links and the same loopback, and can't both listen on one port.
public final class JoinedNetwork: Mechanism {
    /// As the narrator calls it.
    public let name = "joined network"
    private let process: RunningProcess
    private var namespace: CInt?

    /// - Parameter process: one that is in that network.
    public init(of process: RunningProcess) { self.process = process }

    /// Opens the namespace while the host's /proc is at hand.
    public func prepare() throws(KernelError) {
        let opened = try Descriptor.open("/proc/\(process.id.rawValue)/ns/net", O_RDONLY)
        // Now that we hold the namespace: had the number gone to another process, it would be
        // that one's.
        guard process.isRunning else {
            throw KernelError(
                "join network of process", "\(process.id.rawValue)", .noSuchProcess,
                remedy: "It has ended; `hull ps` tells what runs.")
        }
        namespace = opened.release()
    }

    /// The namespace.
    public var descriptors: [CInt] { namespace.map { [$0] } ?? [] }

    // book: begin join
    /// Moves in. There is no way back: the namespace of the host has no name in here.
    public func enter() throws(KernelError) {
        guard let namespace else { return }
        try enterNamespace(
            namespace, .network, why: "the links and addresses of the other container")
    }
    // book: end join

    /// Lets go of the namespace, which may be the last that holds it.
    public func release() throws(KernelError) {
        if let namespace { close(namespace) }
        namespace = nil
    }
}
