import Glibc
import Kernel

/// The root for file systems on which `pivot_root(2)` does not work, such as an initramfs
/// (`--no-pivot`): the mount is moved over the host's root, and `chroot(2)` goes there.
///
/// It is the weaker of the two. The host's root stays below, for whoever gets out of the chroot.
/// See `switch_root(8)`.
public struct MovedRoot: Mechanism {
    /// As the narrator calls it.
    public let name = "moved root"
    private let rootfs: String

    /// - Parameter rootfs: the directory on the host that ``BundleRoot`` has made a mount.
    public init(_ rootfs: String) { self.rootfs = rootfs }

    /// Moves the current directory's mount to `/`.
    public func enter() throws(KernelError) {
        try removeKernelFilesystems()
        try mount(".", on: "/", .move, why: "over the host's root")
        try changeRoot(".", why: "paths that begin with / begin in the mount on top")
        try changeDirectory("/", shell: false, why: "or the current directory stays outside")
    }

    /// Takes away the host's /proc and /sys: unmasked, they would lie below for ever, and a user
    /// namespace that sees a whole one may mount another.
    private func removeKernelFilesystems() throws(KernelError) {
        let own = try resolvedPath(rootfs) + "/"
        for path in try mountPoints(ofTypes: ["proc", "sysfs"]).reversed()
        where !path.hasPrefix(own) {
            do throws(KernelError) {
                try mount(nil, on: path, [.recursive, .private], why: "this one alone")
                try unmount(path, lazily: true, why: "the host's view of the machine goes")
            } catch  where [.invalidArgument, .notPermitted].contains(error.errno) {
                // A mount that belongs to another user namespace can only be covered.
                try mount(
                    "tmpfs", on: path, type: "tmpfs", .readOnly, options: "size=0k",
                    why: "it cannot go, so it is covered")
            } catch  where error.errno == .noSuchFile {
                continue
            }
        }
    }

    /// Where whole file systems of these types are mounted. See `proc_pid_mountinfo(5)`.
    private func mountPoints(ofTypes types: [String]) throws(KernelError) -> [String] {
        var points: [String] = []
        for line in split(try readText("/proc/self/mountinfo"), at: "\n") {
            let words = split(line, at: " ")
            guard let dash = words.firstIndex(of: "-"), words.count > dash + 1, words[3] == "/",
                types.contains(words[dash + 1])
            else { continue }
            points.append(unescaped(words[4]))
        }
        return points
    }

    /// Blanks and the like are written as three octal digits.
    private func unescaped(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
