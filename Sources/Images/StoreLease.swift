import Glibc
import Kernel

/// Keeps the garbage collector away for as long as it lives.
///
/// Between the writing of a blob and the tag that leads to it nothing says that it is wanted.
/// Whoever is there holds this, and the collector waits until nobody does. It is a shared lock
/// of `flock(2)`: any number may hold one, and the kernel takes it from whoever dies.
public struct StoreLease: ~Copyable, Sendable {
    private let lock: FileLock

    fileprivate init(_ lock: consuming FileLock) { self.lock = lock }

    /// Gives it back.
    public consuming func release() {}
}

extension ContentStore {
    /// Keeps everything that is here, named or not, until the lease is given back.
    ///
    /// Take it before the first blob is looked for or written, and give it back behind the tag.
    /// It waits for a garbage collection that is under way.
    public func hold() throws(KernelError) -> StoreLease {
        try makeLayout()
        return StoreLease(try FileLock(leasePath, isShared: true))
    }

    var leasePath: String { path + "/lease" }
}
