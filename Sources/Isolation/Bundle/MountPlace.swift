import CLinux
import Glibc
import Kernel

/// A place in the container's root file system that something is to be mounted on, held open.
///
/// Some places are not anybody's to mount on. Programs of the container, and the container's own
/// start, ask /proc for facts and tell it secrets; what stands there has to be the kernel's.
/// (CVE-2019-16884, CVE-2019-19921, CVE-2023-27561: it was not.)
struct MountPlace: ~Copyable {
    private let path: String
    private let number: CInt

    init(_ path: String, _ place: borrowing Descriptor) {
        self.path = path
        number = place.number
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
        let status = try status()
        let normal = Self.normalized(path)
        let isOnProc = try isSame(status, as: "/proc")
        if isOnProc || normal == "/proc" {
            if isProc { return }
            throw KernelError(
                "mount", path, .notPermitted,
                remedy: "Only a proc file system may be mounted there.")
        }
        let isInside = file_system_magic(number) == Int(linux_PROC_SUPER_MAGIC)
        guard isInside || normal.hasPrefix("/proc/") else { return }
        if Self.replaceable.contains(normal) { return }
        throw KernelError(
            "mount", path, .notPermitted,
            remedy: "It is inside /proc, where the kernel alone has the say.")
    }

    /// Whether it is the container's root itself.
    /// - Throws: `EPERM` where only a symbolic link makes it that.
    borrowing func isRoot() throws(KernelError) -> Bool {
        guard try isSame(try status(), as: "/") else { return false }
        if Self.normalized(path) == "/" { return true }
        throw KernelError(
            "mount", path, .notPermitted,
            remedy: "A symbolic link of the image leads to its root, which it would cover.")
    }

    private borrowing func status() throws(KernelError) -> stat {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw KernelError("fstat", path, .current) }
        return status
    }

    private borrowing func isSame(
        _ status: stat, as other: String
    ) throws(KernelError) -> Bool {
        guard let there = try Descriptor.findInRoot(other, CInt(linux_O_PATH)) else { return false }
        let second = try fileStatus(of: there, other)
        return status.st_dev == second.st_dev && status.st_ino == second.st_ino
    }

    /// The path as it reads, from the root: no dots, no doubled slashes.
    static func normalized(_ path: String) -> String {
        var names: [String] = []
        for name in split(path, at: "/") where !name.isEmpty && name != "." {
            if name == ".." { _ = names.popLast() } else { names.append(name) }
        }
        return "/" + join(names, with: "/")
    }
}
