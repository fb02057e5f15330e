import Kernel

/// A host name of its own. See `uts_namespaces(7)`.
public struct HostName: Mechanism {
    /// As the narrator calls it.
    public let name = "uts namespace"
    /// A new UTS namespace.
    public let namespaces: Namespaces
    /// Nothing of it is the host's to do.
    public let entersEarly = true
    private let hostName: String

    /// - Parameter isJoined: whether the sandbox gets into the namespace in another way.
    /// - Throws: `EINVAL` where it is no name that the kernel takes (1 to 64 bytes).
    public init(_ hostName: String, isJoined: Bool = false) throws(KernelError) {
        namespaces = isJoined ? [] : .uts
        guard (1...64).contains(hostName.utf8.count), !hostName.utf8.contains(0) else {
            throw KernelError(
                "host name", hostName.isEmpty ? "\"\"" : hostName, .invalidArgument,
                remedy: "The kernel takes 1 to 64 bytes.")
        }
        self.hostName = hostName
    }

    /// Sets the name, which the namespace has inherited from the host until then.
    public func enter() throws(KernelError) {
        try setHostName(hostName, why: "this name is the sandbox's alone")
    }
}
