import Glibc
import Isolation
import Kernel
import OCISpec
import Terminal

/// What a configuration may not ask for, although every part of it is well formed.
struct ConfigurationCheck {
    private let configuration: RuntimeConfiguration

    init(_ configuration: RuntimeConfiguration) { self.configuration = configuration }

    /// - Throws: the first thing that is wrong.
    func run() throws(KernelError) {
        guard let process = configuration.process else {
            throw refuse("process", "missing", "A container is made for a process: say which.")
        }
        if process.arguments.isEmpty {
            throw refuse("process.args", "empty", "Say what is to be run.")
        }
        try checkNames()
        try checkNamespaces()
        try checkLinks()
        warnOfMounts()
        if configuration.linux.hasCacheAllocation {
            throw KernelError(
                "linux.intelRdt", "a share of the cache", Errno(rawValue: ENOTSUP),
                remedy: "It is not supported: it needs resctrl, which few machines have.")
        }
    }

    /// The kernel takes names of up to 15 bytes, without what paths and labels are made of.
    private func checkLinks() throws(KernelError) {
        for device in configuration.linux.networkDevices {
            guard configuration.linux.namespace(.network) != nil else {
                throw refuse(
                    "linux.netDevices", device.name,
                    "unable to move network devices without a private NET namespace.")
            }
            for name in [device.name, device.inside ?? device.name] {
                let isName =
                    !name.isEmpty && name.utf8.count < 16 && name != "." && name != ".."
                    && name.utf8.allSatisfy { $0 > 32 && $0 != 0x2F && $0 != 0x3A && $0 != 0x7F }
                if !isName { throw refuse("linux.netDevices", name, "It is no link's name.") }
            }
        }
    }

    /// Without a mount namespace all that is left is `chroot(2)`.
    private func warnOfMounts() {
        if configuration.linux.namespace(.mount) != nil { return }
        Program.warn(
            KernelError(
                "linux.namespaces", "without mount", .invalidArgument,
                remedy: "The container's mounts, masked and read-only paths are left out: they"
                    + " would be the host's."))
    }

    private func checkNames() throws(KernelError) {
        let hasOwn = configuration.linux.namespace(.uts) != nil
        if let name = configuration.hostname, !hasOwn {
            throw refuse(
                "hostname", name, "unable to set hostname without a private UTS namespace.")
        }
        if let name = configuration.domainname, !hasOwn {
            throw refuse(
                "domainname", name, "unable to set domainname without a private UTS namespace.")
        }
    }

    private func checkNamespaces() throws(KernelError) {
        let linux = configuration.linux
        if geteuid() != 0, linux.namespace(.user) == nil {
            throw KernelError(
                "linux.namespaces", "without user", .notPermitted,
                remedy: "rootless container requires user namespaces: `hull-runtime spec"
                    + " --rootless` writes a configuration with one, or run it as root.")
        }
        if !linux.userMappings.isEmpty || !linux.groupMappings.isEmpty,
            linux.namespace(.user) == nil
        {
            throw refuse(
                "linux.uidMappings", "without a user namespace",
                "User namespace mappings specified, but no user namespace is.")
        }
        for offset in linux.timeOffsets {
            guard linux.ownsNew(.time) else {
                throw refuse(
                    "linux.timeOffsets", offset.clock, "There is no new time namespace to set.")
            }
            guard ["monotonic", "boottime"].contains(offset.clock) else {
                throw refuse(
                    "linux.timeOffsets", offset.clock, "It is monotonic or boottime.")
            }
        }
    }

    private func refuse(_ operation: String, _ object: String, _ remedy: String) -> KernelError {
        KernelError(operation, object, .invalidArgument, remedy: remedy)
    }
}
