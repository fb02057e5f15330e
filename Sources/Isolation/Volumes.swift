import CLinux
import Glibc
import Kernel

/// A directory or a file of the host's that shows in the sandbox (`--volume`).
public struct Volume: Equatable, Sendable {
    /// The path on the host.
    public let source: String
    /// The path in the sandbox, absolute.
    public let target: String
    /// Whether the sandbox may only read it.
    public let readOnly: Bool

    /// Reads `SRC:DST` or `SRC:DST:ro`.
    /// - Throws: `EINVAL` where it is neither.
    public init(parsing text: String) throws(KernelError) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let mode = parts.count == 3 ? parts[2] : "rw"
        guard (2...3).contains(parts.count), !parts[0].isEmpty, ["ro", "rw"].contains(mode),
            parts[1].hasPrefix("/"), parts[1].contains(where: { $0 != "/" })
        else {
            throw KernelError(
                "volume", text.isEmpty ? "\"\"" : text, .invalidArgument,
                remedy: "Write SRC:DST or SRC:DST:ro, with DST an absolute path other than /.")
        }
        source = parts[0]
        target = parts[1]
        readOnly = mode == "ro"
    }
}

/// The host's directories and files that show in the sandbox. See `open_tree(2)`.
public struct Volumes: Mechanism {
    /// As the narrator calls it.
    public let name = "volumes"
    private let volumes: [Volume]
    private var sources: [String] = []

    /// Shows `volumes`, in their order.
    public init(_ volumes: [Volume]) { self.volumes = volumes }

    /// Finds the sources on the host, where symbolic links still mean what the user means.
    public mutating func prepare() throws(KernelError) {
        for volume in volumes {
            do { sources.append(try resolvedPath(volume.source)) } catch {
                throw error.renamed("volume", volume.source)
                    .advising("The source has to exist: make it first.")
            }
        }
    }

    // book: begin volumes-enter
    /// After the root has changed, with the host's root as the current directory.
    ///
    /// A target is resolved inside the new root, so no symbolic link of an image can lead it to
    /// the host. A source has no symbolic links left, and none that turns up is followed.
    public func enter() throws(KernelError) {
        for (volume, source) in zip(volumes, sources) {
            let tree = try cloneMountTree(
                source, beneath: AT_FDCWD, why: "the same files in a second place")
            try makeMountPoint(volume.target, for: tree)
            if volume.readOnly {
                // Before it is attached: there is no moment at which it could be written.
                try makeReadOnly(tree, why: "to be read only, with all that is mounted below")
            }
            try attach(
                tree, on: volume.target, cloneOf: source, readOnly: volume.readOnly,
                why: "the volume appears in the sandbox")
        }
    }
    // book: end volumes-enter

    private func makeMountPoint(
        _ path: String, for tree: borrowing Descriptor
    ) throws(KernelError) {
        guard fileType(path) == nil else { return }
        var status = stat()
        guard fstat(tree.number, &status) == 0 else { throw KernelError("fstat", path, .current) }
        if status.st_mode & S_IFMT == S_IFDIR {
            return try makeDirectories(path, why: "a place to mount on")
        }
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try makeDirectories(String(path[..<slash]), why: "the way to the place to mount on")
        }
        try makeEmptyFile(path, why: "a file to mount a file on")
    }
}
