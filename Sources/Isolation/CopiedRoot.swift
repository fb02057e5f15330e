import Kernel

/// A root file system that is a directory of the sandbox's own, with everything in it.
///
/// It needs nothing of the kernel but a bind mount, and works on every file system. In return
/// somebody has to copy each file first, whether it is ever written to or not.
public final class CopiedRoot: Mechanism {
    /// As the narrator calls it.
    public let name = "copied root"
    private let path: String
    private let mapsOwners: Bool
    private var owners: MappedOwners?

    /// The directory at `path`, which the caller has filled and takes away.
    ///
    /// - Parameter mapsOwners: whether the sandbox has a user namespace, in which what belongs to
    ///   root here has to belong to root too.
    public init(_ path: String, mapsOwners: Bool = false) {
        self.path = path
        self.mapsOwners = mapsOwners
    }

    /// The channel on which the directory with other owners comes in.
    public var descriptors: [CInt] { owners?.descriptors ?? [] }

    /// Makes the channel.
    public func prepare() throws(KernelError) {
        try checkRootfs(path)
        guard mapsOwners else { return }
        let owners = MappedOwners(of: [path])
        try owners.prepare()
        self.owners = owners
    }

    /// Hands in the directory with owners that the sandbox's user namespace knows.
    public func adopt(_ child: ProcessID) throws(KernelError) { try owners?.adopt(child) }

    // book: begin copied-enter
    /// Makes the directory a mount, as a root has to be one, and goes there.
    public func enter() throws(KernelError) {
        if let owners {
            try owners.attach(on: [path])
        } else {
            try mount(
                path, on: path, [.bind, .recursive],
                why: "a root has to be a mount: the directory, mounted on itself")
        }
        try changeDirectory(path, why: "the root that is to be")
    }
    // book: end copied-enter

    /// The mount went with the mount namespace.
    public func release() throws(KernelError) { owners = nil }
}
