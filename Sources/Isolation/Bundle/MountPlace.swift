import CLinux
import Glibc
import Kernel

/// A place in the container's root file system that something is to be mounted on, held open.
///
/// Some places are not anybody's to mount on. Programs of the container, and the container's own
/// start, ask /proc for facts and tell it secrets; what stands there has to be the kernel's.
/// (CVE-2019-16884, CVE-2019-19921, CVE-2023-27561: it was not.)
struct MountPlace: ~Copyable {
    /// The place.
    let descriptor: Descriptor
    private let path: String
    /// Whether the path has no symbolic link on it, so that it says itself where it leads.
    private let isPlain: Bool
    /// Whether it had to be made.
    let isNew: Bool

    /// Opens it; what is missing is made.
    ///
    /// - Parameters:
    ///   - isDirectory: what it becomes if it is missing, a directory or a file.
    ///   - isKernels: whether the kernel's own file system is to go there. Those are found by
    ///     their paths, by this program among others: such a path has to be what it seems.
    init(_ path: String, isDirectory: Bool = true, isKernels: Bool = false) throws(KernelError) {
        self.path = path
        var isMissing = false
        do throws(KernelError) {
            let plain = try Descriptor.findInRoot(path, CInt(linux_O_PATH), followsLinks: false)
            if let plain {
                descriptor = plain
                isPlain = true
                isNew = false
                return
            }
            isMissing = true
        } catch {
            guard error.errno.rawValue == ELOOP else { throw error }
            if isKernels {
                throw error.advising(
                    "A symbolic link of the image is in its way: it has to be an ordinary"
                        + " directory.")
            }
        }
        descriptor = try makePlaceInRoot(
            path, isDirectory: isDirectory, followsLinks: !isKernels, why: "a place to mount on")
        isPlain = false
        isNew = isMissing
    }

    /// Files of /proc that may be covered: what they say of the machine is made to fit the
    /// container by programs such as lxcfs.
    private static let replaceable = [
        "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps",
        "/proc/uptime", "/proc/loadavg", "/proc/slabinfo", "/proc/net/dev",
        "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled",
    ]

    /// Refuses a new file system of `type` where it must not be.
    borrowing func check(type: String) throws(KernelError) {
        try check(isProc: type == "proc")
    }

    /// Refuses a copy of the host's files where it must not be: over /proc only another whole
    /// /proc may go.
    borrowing func check(showing source: borrowing Descriptor) throws(KernelError) {
        let isProc = FilesystemKind(of: source) == .proc
        // The number of a procfs' topmost directory. See PROC_ROOT_INO in the kernel.
        let isTop = try fileStatus(of: source, path).st_ino == 1
        try check(isProc: isProc && isTop)
    }

    private borrowing func check(isProc: Bool) throws(KernelError) {
        let normal = Self.normalized(path)
        var isOnProc = normal == "/proc"
        if !isOnProc { isOnProc = try leads(to: "/proc") }
        if isOnProc {
            if isProc { return }
            throw KernelError(
                "mount", path, .notPermitted,
                remedy: "Only a proc file system may be mounted there.")
        }
        let isInside = !isPlain && FilesystemKind(of: descriptor) == .proc
        guard isInside || normal.hasPrefix("/proc/") else { return }
        if Self.replaceable.contains(normal) { return }
        throw KernelError(
            "mount", path, .notPermitted,
            remedy: "It is inside /proc, where the kernel alone has the say.")
    }

    /// Whether it is the container's root itself.
    /// - Throws: `EPERM` where only a symbolic link makes it that.
    borrowing func isRoot() throws(KernelError) -> Bool {
        if Self.normalized(path) == "/" { return true }
        guard try leads(to: "/") else { return false }
        throw KernelError(
            "mount", path, .notPermitted,
            remedy: "A symbolic link of the image leads to its root, which it would cover.")
    }

    /// Whether symbolic links make it the same as `other`.
    private borrowing func leads(to other: String) throws(KernelError) -> Bool {
        if isPlain { return false }
        guard let there = try Descriptor.findInRoot(other, CInt(linux_O_PATH)) else { return false }
        let first = try fileStatus(of: descriptor, path)
        let second = try fileStatus(of: there, other)
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }

    /// The path as it reads, from the root: no dots, no doubled slashes.
    static func normalized(_ path: String) -> String {
        isNormal(path) ? path : "/" + join(plainNames(of: path), with: "/")
    }

    /// As most paths are; a name that begins with a dot is left to be looked at closely.
    private static func isNormal(_ path: String) -> Bool {
        var isAfterSlash = false
        for byte in path.utf8 {
            let isSlash = byte == UInt8(ascii: "/")
            if isAfterSlash && (isSlash || byte == UInt8(ascii: ".")) { return false }
            isAfterSlash = isSlash
        }
        return path.hasPrefix("/") && !isAfterSlash
    }
}
