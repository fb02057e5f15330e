import CLinux
import Glibc
import Kernel

/// How a container's root file system is made out of layers.
public enum StorageDriver: String, CaseIterable, Sendable {
    /// Layers lie side by side and overlayfs shows them as one tree; nothing is copied.
    case overlay
    /// Each layer is a whole tree, a copy of the one below with its changes; so is a container's
    /// root. It is slow and takes much room, and works on every file system.
    case copy

    /// The driver that is asked for: by `choice`, else by `HULL_STORAGE_DRIVER`, else the one that
    /// the file system at `stateRoot` can do.
    /// - Throws: `EINVAL` where it has another name.
    public init(_ choice: String?, stateRoot: String) throws(KernelError) {
        let variable = getenv("HULL_STORAGE_DRIVER").map { String(cString: $0) }
        guard let name = choice ?? (variable == "" ? nil : variable) else {
            self = StorageDriver.usual(at: stateRoot)
            return
        }
        guard let driver = StorageDriver(rawValue: name) else {
            throw KernelError(
                "storage driver", name.isEmpty ? "\"\"" : name, .invalidArgument,
                remedy: "The drivers are overlay and copy.")
        }
        self = driver
    }

    // book: begin storage-driver
    /// The driver for the file system at `path`, or at the directory above that is there.
    ///
    /// Overlayfs wants attributes, whiteouts and whole names of the file system with the writable
    /// layer, which those on a network or from other systems lack; and it does not
    /// take another overlay. To ask which kind it is takes one call.
    public static func usual(at path: String) -> StorageDriver {
        var path = path
        while !path.isEmpty {
            if let directory = try? Descriptor.open(path, O_RDONLY | O_DIRECTORY) {
                return lacking.contains(file_system_magic(directory.number)) ? .copy : .overlay
            }
            path = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        }
        return .overlay
    }

    /// See `statfs(2)`, "f_type".
    private static let lacking: [Int] = [
        Int(linux_OVERLAYFS_SUPER_MAGIC),
        0x6969,  // NFS
        0xFF53_4D42, 0xFE53_4D42, 0x517B,  // CIFS, SMB2, SMB
        0x4D44, 0x2011_BAB0,  // vfat, exFAT
        0x0102_1997,  // 9p
        0xF15F,  // eCryptfs
    ]
    // book: end storage-driver
}
