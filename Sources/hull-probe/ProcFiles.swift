import CLinux
import Glibc
import Kernel

// How the probe reads /proc, where there is one and where there is none.

/// A directory that shows the processes of this PID namespace.
///
/// Where the sandbox has no /proc, the probe makes itself one and attaches it nowhere: an
/// attacker with `CAP_SYS_ADMIN` is not helped by a missing mount point, and nothing is left to
/// unmount. See `fsopen(2)`, `fsmount(2)`.
func openProc() throws(KernelError) -> Descriptor {
    if fileType("/proc/self/status") == .regular {
        return try Descriptor.open("/proc", O_RDONLY | O_DIRECTORY)
    }
    return try makeProc()
}

/// A new /proc that is attached nowhere.
func makeProc() throws(KernelError) -> Descriptor {
    let context = fsopen("proc", UInt32(linux_FSOPEN_CLOEXEC))
    guard context >= 0 else { throw KernelError("fsopen", "proc", .current) }
    let owner = Descriptor(owning: context)
    guard fsconfig_create(owner.number) == 0 else {
        throw KernelError("fsconfig", "proc", .current)
    }
    let mounted = fsmount(owner.number, UInt32(linux_FSMOUNT_CLOEXEC), 0)
    guard mounted >= 0 else { throw KernelError("fsmount", "proc", .current) }
    return Descriptor(owning: mounted)
}

extension Descriptor {
    /// The content of a small file below this directory.
    borrowing func text(_ path: String) throws(KernelError) -> String {
        let file = try Descriptor.open(path, O_RDONLY, at: number)
        return String(decoding: try file.readAll(limit: 1 << 20), as: UTF8.self)
    }

    /// What a symbolic link below this directory says.
    borrowing func link(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let length = buffer.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { names in
                names.baseAddress.map { readlinkat(number, path, $0, names.count) } ?? -1
            }
        }
        return length < 0 ? nil : String(decoding: buffer.prefix(length), as: UTF8.self)
    }

    /// The numbers of the processes that this /proc shows.
    borrowing func processes() throws(KernelError) -> [pid_t] {
        // Through the current directory, because a detached mount has no path.
        guard fchdir(number) == 0 else { throw KernelError("fchdir", "/proc", .current) }
        return try namesInDirectory(".").compactMap { pid_t($0) }
    }

    /// A field of a process's status file, such as "PPid".
    borrowing func status(_ process: pid_t, _ field: String) -> String? {
        guard let text = try? text("\(process)/status") else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix(field + ":") }
        return line.map { $0.dropFirst(field.count + 1).trimmingSpaces }
    }
}

extension Substring {
    fileprivate var trimmingSpaces: String {
        let start = drop { $0 == " " || $0 == "\t" }
        return String(start)
    }
}

/// One line of /proc/self/mountinfo. See `proc_pid_mountinfo(5)`.
struct MountEntry {
    /// The directory of the file system that is mounted.
    let root: String
    /// Where, seen from this process's root.
    let target: String
    /// Whether mounts below it spread to other namespaces.
    let isShared: Bool
    /// Kind of file system.
    let type: String
    /// The device, or whatever name the mounter gave.
    let source: String
    /// The file system's own options.
    let options: [String]

    fileprivate init?(_ line: Substring) {
        let words = line.split(separator: " ").map(String.init)
        guard let dash = words.firstIndex(of: "-"), dash >= 6, words.count >= dash + 4 else {
            return nil
        }
        root = words[3]
        target = words[4]
        isShared = words[6..<dash].contains { $0.hasPrefix("shared:") }
        type = words[dash + 1]
        source = words[dash + 2]
        options = words[dash + 3].split(separator: ",").map(String.init)
    }
}

/// The mounts that this process can reach.
func mountTable() throws(KernelError) -> [MountEntry] {
    let text = try openProc().text("self/mountinfo")
    return text.split(separator: "\n").compactMap(MountEntry.init)
}
