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
    /// Whether it is one that nobody has asked for.
    let isOptional: Bool

    /// A file of the host's that the sandbox may write.
    init(source: String, target: String) {
        self.source = source
        self.target = target
        readOnly = false
        isOptional = true
    }

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
        isOptional = false
    }
}

/// The host's directories and files that show in the sandbox. See `open_tree(2)`.
///
/// In two steps, because a source is the host's and a target the sandbox's. This one copies the
/// sources while the host's root is at hand. ``AttachedVolumes`` attaches the copies once it has
/// gone, when no target can lead there any more.
public final class Volumes: Mechanism {
    /// As the narrator calls it.
    public let name = "volumes"
    fileprivate private(set) var volumes: [Volume]
    fileprivate var trees: [CInt] = []
    private var sources: [String] = []
    private let files: NetworkFiles?
    private var scratch: OwnedDirectory?

    /// Shows `volumes`, in their order, on top of files that are made for this sandbox.
    public init(_ volumes: [Volume], files: NetworkFiles? = nil) {
        self.volumes = volumes
        self.files = files
    }

    /// Finds the sources on the host, where symbolic links still mean what the user means.
    public func prepare() throws(KernelError) {
        if let files { try write(files) }
        for volume in volumes {
            do { sources.append(try resolvedPath(volume.source)) } catch {
                throw error.renamed("volume", volume.source)
                    .advising("The source has to exist: make it first.")
            }
        }
    }

    /// Writes files for the sandbox, which become volumes like any other.
    private func write(_ files: NetworkFiles) throws(KernelError) {
        let directory = try OwnedDirectory(
            in: StateDirectories().scratch, why: "a place for files that are the sandbox's alone")
        let path = directory.path
        scratch = consume directory
        var made: [Volume] = []
        for (target, text) in files.contents {
            let source = path + "/" + (split(target, at: "/").last ?? "")
            try makeFile(source, holding: text, why: "how programs in it find names")
            made.append(Volume(source: source, target: target))
        }
        volumes = made + volumes
    }

    /// Removes what was made.
    public func release() throws(KernelError) { try scratch.take()?.release() }

    // book: begin volumes-enter
    /// After the root has changed, with the host's root as the current directory.
    ///
    /// A source has no symbolic links left, and none that turns up is followed.
    public func enter() throws(KernelError) {
        for (index, source) in sources.enumerated() {
            let tree = try cloneMountTree(
                source, beneath: AT_FDCWD, shellName: shellName(index),
                why: "the same files in a second place")
            if volumes[index].readOnly {
                // Before it is attached: there is no moment at which it could be written.
                try makeReadOnly(tree, why: "to be read only, with all that is mounted below")
            }
            trees.append(tree.release())
        }
    }
    // book: end volumes-enter

    fileprivate func shellName(_ index: Int) -> String { "/.volume\(index)" }
}

/// The second step of ``Volumes``.
public struct AttachedVolumes: Mechanism {
    /// As the narrator calls it.
    public let name = "volumes"
    private let volumes: Volumes

    /// Attaches what `volumes` has copied.
    public init(_ volumes: Volumes) { self.volumes = volumes }

    // book: begin volumes-attach
    /// After the host's root has gone.
    ///
    /// A target is looked up in the sandbox, where an image may hold any symbolic link. The
    /// root mount that ``PivotRoot`` leaves stacked on the new one is what `/..` would lead to.
    public func enter() throws(KernelError) {
        for (index, number) in volumes.trees.enumerated() {
            let tree = Descriptor(owning: number)
            let volume = volumes.volumes[index]
            do throws(KernelError) {
                try makeMountPoint(volume.target, for: tree)
                try attach(
                    tree, on: volume.target, shellName: volumes.shellName(index),
                    readOnly: volume.readOnly, why: "the volume appears in the sandbox")
            } catch {
                // In a root file system of somebody else's an ordinary user makes no files: it is
                // refused, or the owner is an id that its namespace does not know.
                let refusals: [Errno] = [.accessDenied, .unknownOwner]
                if volume.isOptional && refusals.contains(error.errno) { continue }
                throw error.renamed("volume", volume.target).advising(advice(for: error.errno))
            }
        }
    }
    // book: end volumes-attach

    private func advice(for errno: Errno) -> String {
        switch errno {
        case .fileExists: "A symbolic link that leads nowhere is in its way: choose another target."
        case .notDirectory:
            "A directory can be mounted on a directory only, and a file on a file."
        default: "Choose another target."
        }
    }

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
