import CLinux
import Glibc
import Kernel

/// Directories of the host's, shown in the sandbox with owners that its user namespace knows.
///
/// A root file system belongs to the host's root, which a sandbox with other ids cannot even
/// name: every file would be nobody's. To change the owners on the disk takes as long as copying
/// and needs a copy for each range of ids. An *id-mapped mount* changes what is shown instead.
/// The owner makes them once the namespace is there and hands them in. See `mount_setattr(2)`.
final class MappedOwners {
    private let paths: [String]
    private var outside: Descriptor?
    private var inside: Descriptor?

    /// Shows each of `paths` at its own place.
    init(of paths: [String]) { self.paths = paths }

    /// A channel on which the mounts go in.
    func prepare() throws(KernelError) {
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw KernelError("socketpair", "mapped owners", .current)
        }
        outside = Descriptor(owning: ends[0])
        inside = Descriptor(owning: ends[1])
    }

    /// What the sandbox needs of it.
    var descriptors: [CInt] {
        guard let number = inside?.number else { return [] }
        return [number]
    }

    // book: begin mapped-adopt
    /// Copies each mount, maps the copy's owners and sends it. The child's map is written.
    func adopt(_ child: ProcessID) throws(KernelError) {
        let namespace = try Descriptor.open("/proc/\(child.rawValue)/ns/user", O_RDONLY)
        for path in paths {
            let tree = try cloneMount(path, why: "the same files once more, to show otherwise")
            do {
                try mapOwners(
                    of: tree, as: namespace, on: path,
                    why: "what is root's on the disk is shown as the sandbox's root's")
            } catch {
                throw error.advising(
                    "Its file system cannot show other owners: use ext4, xfs, btrfs or tmpfs, or"
                        + " leave the user namespace out.")
            }
            try send(tree)
        }
    }
    // book: end mapped-adopt

    /// Takes the mounts and attaches each, in the sandbox's own mount namespace.
    ///
    /// - Parameter targets: where; a path for each of the directories.
    func attach(on targets: [String]) throws(KernelError) {
        for target in targets {
            let tree = try receive()
            do {
                try Kernel.attach(
                    tree, on: target, shellName: "", readOnly: false,
                    why: "the files with the owners as this namespace knows them")
            } catch {
                throw error.advising(
                    "The sandbox's root has to get there: every directory on the way needs"
                        + " `chmod o+x`, or set HULL_ROOT to another place.")
            }
        }
    }

    private func send(_ tree: borrowing Descriptor) throws(KernelError) {
        guard let number = outside?.number, send_with_descriptor(number, [0], 1, tree.number) == 1
        else { throw KernelError("sendmsg", "mapped owners", .current) }
    }

    private func receive() throws(KernelError) -> Descriptor {
        var byte: UInt8 = 0
        var tree: CInt = -1
        guard let number = inside?.number, receive_with_descriptor(number, &byte, 1, &tree) == 1,
            tree >= 0
        else { throw KernelError("recvmsg", "mapped owners", .current) }
        return Descriptor(owning: tree)
    }
}
