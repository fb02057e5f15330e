import CLinux
import Glibc
import Kernel
import OCISpec

/// Settings of the kernel that belong to the sandbox's namespaces (`sysctl`). See
/// runtime-spec, `config-linux.md`, "Sysctl".
public struct KernelSettings: Mechanism {
    /// As the narrator calls it.
    public let name = "sysctl"
    private let settings: StringMap

    /// - Parameters:
    ///   - settings: by name, with dots or slashes.
    ///   - own: the namespaces that are not the host's.
    /// - Throws: `EPERM` for one that is the whole machine's.
    public init(_ settings: StringMap, own: Namespaces) throws(KernelError) {
        for entry in settings.entries {
            if Self.path(entry.name) == "kernel/hostname" {
                throw KernelError(
                    "sysctl", entry.name, .invalidArgument,
                    remedy: "The configuration has a field of its own for it: hostname.")
            }
            guard let needed = Self.namespace(of: Self.path(entry.name)) else {
                throw KernelError(
                    "sysctl", entry.name, .notPermitted,
                    remedy: "It is not in a separate kernel namespace: it is the machine's.")
            }
            guard own.isSuperset(of: needed) else {
                throw KernelError(
                    "sysctl", entry.name, .notPermitted,
                    remedy: "It is not in a separate kernel namespace: give the container one of"
                        + " its own (\(needed.symbols)).")
            }
        }
        self.settings = settings
    }

    /// Before the host's /proc is gone, which no image can have replaced (CVE-2019-16884). What is
    /// written there counts for the namespaces of whoever writes.
    public func enter() throws(KernelError) {
        for entry in settings.entries {
            do {
                try setKernelParameter(
                    Self.path(entry.name), to: entry.value, why: "for these namespaces alone")
            } catch {
                throw error.renamed("sysctl", "\(entry.name)=\(entry.value)")
            }
        }
    }

    /// As /proc/sys has it: `net.ipv4.ip_forward` is `net/ipv4/ip_forward`.
    private static func path(_ name: String) -> String {
        contains(name, "/") ? name : join(split(name, at: "."), with: "/")
    }

    /// The namespace that a setting belongs to; nil where it belongs to none, or leads out of
    /// its directory.
    private static func namespace(of path: String) -> Namespaces? {
        if split(path, at: "/").contains("..") { return nil }
        let ipc = ["kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem"]
        if ipc.contains(path) || path.hasPrefix("kernel/shm") || path.hasPrefix("fs/mqueue/") {
            return .ipc
        }
        if path.hasPrefix("net/") { return .network }
        if path == "kernel/domainname" { return .uts }
        if path.hasPrefix("user/") { return .user }
        return nil
    }
}
