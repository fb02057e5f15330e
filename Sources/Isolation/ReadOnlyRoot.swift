import Kernel

/// A root file system that cannot be written (`--read-only`).
///
/// After everything that makes directories to mount on. Volumes and tmpfs are mounts of
/// their own and stay as they are.
public struct ReadOnlyRoot: Mechanism {
    /// As the narrator calls it.
    public let name = "read-only root"

    /// Nothing has to be chosen.
    public init() {}

    /// Takes the right to write from the mount, not from the files.
    public func enter() throws(KernelError) {
        try mount(nil, on: "/", [.bind, .remount, .readOnly], why: "nothing in it can be changed")
    }
}
