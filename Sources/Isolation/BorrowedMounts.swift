import Glibc
import Kernel

/// What root of a user namespace cannot make for itself, or not any more once the host is gone.
///
/// Three rules of the kernel's meet here. A new /proc or /sys is given only to who can see the
/// host's whole one, or masks could be got round by mounting it again. A new /sys shows a
/// network, so that has to be the namespace's own. And device nodes are made by the machine's
/// root alone: the six harmless ones are shown a second time, like volumes.
/// See `user_namespaces(7)`, "Restrictions on mount namespaces".
public final class BorrowedMounts: Mechanism {
    /// As the narrator calls it.
    public let name = "borrowed mounts"
    private var proc: CInt?
    private var sys: CInt?
    private var devices: [(name: String, tree: CInt)] = []

    /// Nothing has to be chosen.
    public init() {}

    // book: begin borrowed-enter
    /// While the host's /proc can be seen, with the host's root as the current directory.
    public func enter() throws(KernelError) {
        proc = try makeProc().release()
        sys = try makeSys().release()
        for node in DeviceFilesystem.nodes {
            let tree = try cloneMountTree(
                "/dev/\(node.name)", beneath: AT_FDCWD, shellName: "/.dev-\(node.name)",
                why: "no device can be made here: the host's own, a second time")
            devices.append((node.name, tree.release()))
        }
    }
    // book: end borrowed-enter

    private func makeProc() throws(KernelError) -> Descriptor {
        do {
            return try makeDetachedFilesystem(
                "proc", [.noSetUID, .noDevices, .noExecution], shellName: "/.proc",
                why: "while the host's /proc can be seen: afterwards the kernel refuses")
        } catch  where error.errno == .notPermitted {
            throw error.advising(
                "A part of this machine's /proc is covered, as in most containers, and the kernel"
                    + " gives no whole one to a user namespace then. Run it as root, or the outer"
                    + " container with --security-opt systempaths=unconfined.")
        }
    }

    private func makeSys() throws(KernelError) -> Descriptor {
        do throws(KernelError) {
            return try makeDetachedFilesystem(
                "sysfs", [.readOnly, .noSetUID, .noDevices, .noExecution], shellName: "/.sys",
                why: "to be read, with the links of this network")
        } catch  where error.errno == .notPermitted {
            // The network is the host's; so is what shows it.
            let tree = try cloneMountTree(
                "/sys", beneath: AT_FDCWD, shellName: "/.sys", why: "the host's, a second time")
            try makeReadOnly(tree, why: "to be read")
            return tree
        }
    }

    func attachProc() throws(KernelError) {
        guard let tree = proc.take() else { return }
        try attach(
            Descriptor(owning: tree), on: "/proc", shellName: "/.proc", readOnly: false,
            why: "ps, top and many others read processes from here")
    }

    func attachSys() throws(KernelError) {
        guard let tree = sys.take() else { return }
        try attach(
            Descriptor(owning: tree), on: "/sys", shellName: "/.sys", readOnly: true,
            why: "what the kernel knows of devices and links")
    }

    func attachDevices() throws(KernelError) {
        for (name, tree) in devices {
            try makeEmptyFile("/dev/\(name)", why: "a place to mount a device on")
            try attach(
                Descriptor(owning: tree), on: "/dev/\(name)", shellName: "/.dev-\(name)",
                readOnly: false, why: "one of the few devices that are safe to share")
        }
        devices = []
    }
}
