import CLinux
import Glibc
import Kernel

/// Whether a snapshot is whole, though nobody waited for the disk when it was made.
///
/// A file system writes in its own time. Until then a power cut may leave a snapshot's names
/// without their content, and nobody could tell. To wait for the disk (`syncfs(2)`) takes longer
/// than to unpack. But as long as the machine has not been started anew, everybody sees what
/// was written, wherever it is. And a snapshot can be made again from its blobs. So:
///
///     boot      the boot in which it was made: while it is this one, the snapshot is good
///     synced    it has reached the disk: good whatever happens
///
/// A snapshot with neither is as good as none. See `random(4)`, "boot_id".
struct SnapshotAge {
    /// The snapshot's directory.
    let directory: String

    private var boot: String { directory + "/boot" }
    private var synced: String { directory + "/synced" }

    // book: begin snapshot-age
    /// Whether all of it is sure to be there.
    var isWhole: Bool { access(synced, F_OK) == 0 || isOfThisBoot }

    /// Whether the machine has not been started since it was made.
    var isOfThisBoot: Bool {
        guard let written = try? readText(boot), let now = try? bootID() else { return false }
        return written == now
    }
    // book: end snapshot-age

    /// Whether it was made in an earlier boot, or nobody knows when.
    var isDoubtful: Bool { access(directory, F_OK) == 0 && !isWhole }

    /// Says when it was made. Nothing is waited for.
    func write() throws(KernelError) {
        try replaceFile(boot, with: try bootID().utf8, durable: false)
    }

    /// Waits until all of it is on the disk, and says so.
    func sync() throws(KernelError) {
        let root = try Descriptor.open(directory, O_RDONLY | O_DIRECTORY)
        if syncfs(root.number) < 0 { throw KernelError("syncfs", directory, .current) }
        try markAsSynced()
    }

    /// Says that all of it is on the disk. The caller has seen to that.
    func markAsSynced() throws(KernelError) { try replaceFile(synced, with: []) }

    /// Whether it was made so long ago in this boot that the kernel has written it by itself, as
    /// it does after half a minute. See `proc_sys_vm(5)`, "dirty_expire_centisecs".
    var isLikelyOnDisk: Bool {
        var status = stat()
        guard access(synced, F_OK) != 0, stat(boot, &status) == 0 else { return false }
        return time(nil) - status.st_mtim.tv_sec > 60 && isOfThisBoot
    }

}
