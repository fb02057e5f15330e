import CLinux
import Glibc
import Kernel

// Ways back to the root directory that the sandbox was moved away from.

extension Attack {
    /// Breaks out of a chroot the classic way, with a directory it stands in.
    ///
    /// `chroot(2)` sets where absolute paths start and where ".." stops. It moves nobody: whoever
    /// calls it stands where he stood. So: call it again on a directory further down, and stand
    /// above the new root. ".." stops only *at* the root, and the climber never passes it. The
    /// host's root is as far up as it goes, and a last chroot(".") makes it the root again.
    ///
    /// `pivot_root(2)` leaves nothing to climb to: in that mount namespace, the sandbox's root is
    /// the top. (`CAP_SYS_CHROOT` is needed too; stage 7 takes it away.)
    ///
    /// Proof is a root with another device or inode than before; with FILE, that FILE can be read
    /// there and begins with EXPECTED.
    static let escapeChroot = Attack(
        "escape-chroot", "[FILE [EXPECTED]]", "Climbs out of the root directory: chroot, then ..",
        stoppedBy: .overlay
    ) { arguments throws(KernelError) in
        let before = try Place(of: "/")
        try climbOut()
        let after = try Place(of: "/")
        guard before != after else { return .stopped("the top is the same root, \(before)") }
        if let file = arguments.first {
            return try judgeContent(of: file, expected: arguments.dropFirst().first)
        }
        return .gotThrough("/ was \(before) and is \(after)")
    }

    /// Looks for a handle on the host's root that somebody forgot.
    ///
    /// Changing the root closes no descriptor, moves no other process and unmounts nothing. One
    /// directory outside is enough: a descriptor passed on by accident, the root or the current
    /// directory of a process that can be seen, or the old root still mounted somewhere inside.
    /// A PID namespace hides the other processes; the descriptors have to be closed, and the old
    /// root unmounted. A handle leads outside if climbing from it ends anywhere but at our own root.
    static let oldRoot = Attack(
        "old-root", "", "Looks for a handle on the host's root: descriptors, /proc/PID, mounts.",
        stoppedBy: .pid
    ) { _ throws(KernelError) in
        let root = try Place(of: "/")
        let start = try Descriptor.open(".", O_RDONLY | O_DIRECTORY)
        let proc = try openProc()
        if let top = top(from: ".", at: start), top != root {
            return .gotThrough("the current directory lies outside, below \(top)")
        }
        for handle in try handles(in: proc) {
            guard let top = top(from: handle, at: proc), top != root else { continue }
            return .gotThrough("/proc/\(handle) lies outside, below \(top)")
        }
        // A whole disk below the root is a host's root, or a volume given on purpose.
        let disk = try mountTable().first { mount in
            mount.root == "/" && mount.target != "/" && mount.source.hasPrefix("/dev/")
        }
        if let disk { return .gotThrough("all of \(disk.source) is mounted on \(disk.target)") }
        return .stopped("every handle ends at our own root, \(root)")
    }
}

/// A directory's identity: its file system and its number there.
struct Place: Equatable, CustomStringConvertible {
    private let device: dev_t
    private let inode: ino_t

    /// What `path` leads to now.
    init(of path: String) throws(KernelError) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw KernelError("stat", path, .current) }
        device = status.st_dev
        inode = status.st_ino
    }

    /// Device and inode, such as "254:0/2".
    var description: String { "\(device_major(device)):\(device_minor(device))/\(inode)" }
}

// book: begin climb-out
private func climbOut() throws(KernelError) {
    try changeDirectory("/", why: "The attack starts at the root it was given.")
    let above = try Descriptor.open(".", O_RDONLY | O_DIRECTORY)
    let below = ".hull-probe-\(randomName())"
    let made = mkdir(below, 0o700) == 0
    defer { if made { unlinkat(above.number, below, AT_REMOVEDIR) } }
    // On a read-only root any directory that is there will do.
    try changeRoot(made ? below : "proc", why: "The root goes down.")
    try changeDirectory(above, why: "We stay above it.")
    try climbToTop()
    try changeRoot(".", why: "The top is where we stand.")
}
// book: end climb-out

// book: begin climb-to-top
/// Follows ".." until it leads nowhere new.
private func climbToTop() throws(KernelError) {
    while try Place(of: ".") != Place(of: "..") {
        try changeDirectory("..", why: "Nothing stops who never passes the root.")
    }
}
// book: end climb-to-top

/// Where climbing ends that starts at `path` below `directory`; nil where it cannot start.
private func top(from path: String, at directory: borrowing Descriptor) -> Place? {
    guard fchdir(directory.number) == 0, chdir(path) == 0 else { return nil }
    do {
        try climbToTop()
        return try Place(of: ".")
    } catch {
        return nil
    }
}

/// Links below /proc that may lead to a directory: roots, current directories, our descriptors.
private func handles(in proc: borrowing Descriptor) throws(KernelError) -> [String] {
    let processes = try proc.processes().flatMap { ["\($0)/root", "\($0)/cwd"] }
    let descriptors = openDescriptors().filter { $0 != proc.number }.map { "self/fd/\($0)" }
    return descriptors + processes
}
