import CLinux
import Glibc
import Kernel

/// Paths that must not even be read. See runtime-spec, config-linux.md, "Masked Paths".
///
/// A directory is covered with an empty file system, a file with the null device. Both are
/// looked at first: an image, or another container that shares a mount, may have put something
/// else where /dev/null should be, and that would be what is bound (CVE-2025-31133).
public struct BundleMaskedPaths: Mechanism {
    /// As the narrator calls it.
    public let name = "masked paths"
    private let paths: [String]

    /// Masks `paths`, those of them that exist, each once.
    public init(_ paths: [String]) {
        var once: [String] = []
        for path in paths where !once.contains(path) { once.append(path) }
        self.paths = once
    }

    /// Covers each, once the root is the root.
    public func enter() throws(KernelError) {
        var null: Descriptor?
        var empty: Descriptor?
        for path in paths {
            guard let place = try Descriptor.findInRoot(path, CInt(linux_O_PATH)) else { continue }
            let isDirectory = try fileStatus(of: place, path).st_mode & S_IFMT == S_IFDIR
            let cover: Descriptor
            if isDirectory {
                cover = try Self.another(empty.take()) { () throws(KernelError) in
                    try Self.makeEmpty()
                }
            } else {
                cover = try Self.another(null.take()) { () throws(KernelError) in
                    try Self.openNull()
                }
            }
            try attach(cover, at: place, path, why: "nothing over what must not be read")
            if isDirectory { empty = consume cover } else { null = consume cover }
        }
    }

    /// A copy of a cover that is in use already, or the first one.
    private static func another(
        _ first: consuming Descriptor?, make: () throws(KernelError) -> Descriptor
    ) throws(KernelError) -> Descriptor {
        guard let first = first.take() else { return try make() }
        return try cloneMount(at: first, on: "a mask", why: "the same cover once more")
    }

    private static func makeEmpty() throws(KernelError) -> Descriptor {
        let context = try FilesystemContext("tmpfs", why: "an empty directory")
        try context.set("source", to: "tmpfs", why: "what it is called in mountinfo")
        try context.set("nr_inodes", to: "1", why: "it stays empty")
        try context.create(why: "made as it was chosen")
        return try context.mount(with: .readOnly, why: "a mount of it, at no place as yet")
    }

    /// The container's null device, if it is that.
    private static func openNull() throws(KernelError) -> Descriptor {
        let path = "/dev/null"
        let null: Descriptor
        do throws(KernelError) {
            null = try Descriptor.openInRoot(path, CInt(linux_O_PATH), followsLinks: false)
        } catch { throw refusal(error.errno) }
        let status = try fileStatus(of: null, path)
        guard status.st_mode & S_IFMT == S_IFCHR, device_major(status.st_rdev) == 1,
            device_minor(status.st_rdev) == 3
        else { throw refusal(.noSuchDevice) }
        return try cloneMount(at: null, on: path, why: "the null device, which has been looked at")
    }

    private static func refusal(_ errno: Errno) -> KernelError {
        KernelError(
            "mask", "/dev/null", errno,
            remedy: "Files are masked with it, and what the image has there is not it.")
    }
}

/// Paths that may be read and not written. See runtime-spec, config-linux.md, "Readonly Paths".
public struct BundleReadOnlyPaths: Mechanism {
    /// As the narrator calls it.
    public let name = "read-only paths"
    private let paths: [String]

    /// Makes `paths` read-only, those of them that exist.
    public init(_ paths: [String]) { self.paths = paths }

    /// Mounts each on itself, read-only, once the root is the root.
    public func enter() throws(KernelError) {
        for path in paths {
            guard let place = try Descriptor.findInRoot(path, CInt(linux_O_PATH)) else { continue }
            let tree = try cloneMount(
                at: place, isRecursive: true, on: path, why: "a mount of its own, to restrict")
            // What else the mount restricts, it goes on restricting.
            try changeMount(
                tree, MountChange(adding: .readOnly), isRecursive: true, on: path,
                why: "these settings are the host's too")
            try attach(tree, at: place, path, why: "in front of what can be written")
        }
    }
}
