import Kernel

/// Mounts of its own. See `mount_namespaces(7)`.
public struct MountNamespace: Mechanism {
    /// As the narrator calls it.
    public let name = "mount namespace"
    /// A new mount namespace, which begins as a copy of the host's.
    public let namespaces: Namespaces = .mount

    /// Nothing has to be chosen.
    public init() {}

    // book: begin mount-private
    /// Cuts the copy off from the original.
    ///
    /// Before anything is mounted: on most systems the host's mounts are *shared*, and what is
    /// mounted in the copy would appear on the host as well.
    public func enter() throws(KernelError) {
        try mount(
            nil, on: "/", [.recursive, .private],
            why: "mounts made in here must not reach the host, nor the host's come in")
    }
    // book: end mount-private
}
