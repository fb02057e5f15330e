import CLinux
import Glibc
import Kernel

/// The directory that the last entry went into, so that its neighbours need not look it up again.
struct OpenParent: ~Copyable {
    let descriptor: Descriptor
    let path: LayerPath
    /// The time of change that it has to have when it is left: making files in it changes that.
    var time: TarTime
    /// Whether new files take over an access control list from it.
    let handsDownACL: Bool

    /// Takes over an open directory.
    init(_ descriptor: consuming Descriptor, path: LayerPath) throws(KernelError) {
        var status = stat()
        if fstat(descriptor.number, &status) < 0 {
            throw KernelError("fstat", path.bytes.shown, .current)
        }
        time = TarTime(seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
        handsDownACL = fgetxattr(descriptor.number, "system.posix_acl_default", nil, 0) > 0
        self.descriptor = descriptor
        self.path = path
    }

    /// False once an entry took the directory's place: then nothing links to it any more.
    var isCurrent: Bool {
        var status = stat()
        return fstat(descriptor.number, &status) == 0 && status.st_nlink > 0
    }
}
