import CLinux
import Glibc
import Kernel

/// Unpacked layers on top of each other, read as overlayfs would show them.
///
/// Nothing is mounted: that needs privileges, and a mount shows at most so many layers.
final class LowerLayers {
    private let roots: [CInt]

    /// - Parameter paths: the topmost first.
    init(_ paths: [String]) throws(KernelError) {
        var roots: [CInt] = []
        for path in paths {
            do { roots.append(try Descriptor.open(path, O_RDONLY | O_DIRECTORY).release()) } catch {
                for root in roots { close(root) }
                throw error
            }
        }
        self.roots = roots
    }

    deinit { for root in roots { close(root) } }

    /// Every layer.
    var all: [Int] { Array(roots.indices) }

    /// The root directory of the topmost; nil where there is no layer.
    func root() throws(KernelError) -> OpenedFile? {
        guard let topmost = roots.first else { return nil }
        let name = [UInt8(ascii: ".")]
        return OpenedFile(name, try fileStatus(name, at: topmost), at: topmost)
    }

    /// The directory at the path of these parts as an archive's entry; nil where there is none.
    func directory(_ parts: [FileName]) throws(KernelError) -> TarEntry? {
        var layers = all
        var path: FileName = []
        var file: OpenedFile?
        var opened = try open([], layers)
        for part in parts {
            if file != nil { opened = try open(path, layers) }
            guard let found = opened.find(part), found.file.isDirectory else { return nil }
            (file, layers) = (found.file, found.layers)
            path += (path.isEmpty ? [] : [UInt8(ascii: "/")]) + part
        }
        let last = opened
        defer { withExtendedLifetime(last) {} }
        guard let file else { return nil }
        return try TarEntry(directory: file, path)
    }

    /// Opens the directory `path` in each of `layers`, which have one.
    func open(_ path: FileName, _ layers: [Int]) throws(KernelError) -> OpenedLayers {
        let opened = OpenedLayers(layers)
        for layer in layers {
            opened.descriptors.append(try openBeneath(path, at: roots[layer]).release())
        }
        return opened
    }
}

/// One directory in all the layers that have it.
final class OpenedLayers {
    private let layers: [Int]
    fileprivate var descriptors: [CInt] = []

    fileprivate init(_ layers: [Int]) { self.layers = layers }

    deinit { for descriptor in descriptors { close(descriptor) } }

    /// What the layers show as `name`, and which of them have a part in it if it is a directory.
    func find(_ name: FileName) -> (file: OpenedFile, layers: [Int])? {
        var found: OpenedFile?
        var parts: [Int] = []
        for (layer, directory) in zip(layers, descriptors) {
            guard let status = try? fileStatus(name, at: directory) else { continue }
            let file = OpenedFile(name, status, at: directory)
            if file.isWhiteout || found != nil && !file.isDirectory { break }
            if found == nil { found = file }
            if !file.isDirectory { break }
            parts.append(layer)
            if isOpaque(name, at: directory) { break }
        }
        return found.map { ($0, parts) }
    }

    /// All names that the layers show.
    func names() throws(KernelError) -> Set<FileName> {
        var names: Set<FileName> = []
        for descriptor in descriptors {
            // A second descriptor, since listing moves the position of the first.
            let directory = try openDirectory([UInt8(ascii: ".")], at: descriptor)
            names.formUnion(try directoryEntries(directory))
        }
        return names.filter { find($0) != nil }
    }
}

/// A name in an open directory.
struct OpenedFile {
    let name: FileName
    var status: stat
    let directory: CInt

    init(_ name: FileName, _ status: stat, at directory: CInt) {
        (self.name, self.status, self.directory) = (name, status, directory)
    }

    var isDirectory: Bool { status.st_mode & S_IFMT == S_IFDIR }
    var isWhiteout: Bool { status.st_mode & S_IFMT == S_IFCHR && status.st_rdev == 0 }
}

extension TarEntry {
    fileprivate init(directory: OpenedFile, _ path: FileName) throws(KernelError) {
        let status = directory.status
        self.init(
            path: path, kind: .directory, mode: status.st_mode & 0o7777, owner: status.st_uid,
            group: status.st_gid,
            modified: TarTime(
                seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec),
            attributes: try extendedAttributes(of: directory.name, at: directory.directory))
    }
}

/// Opens the directory `path` below `root`, without following any symbolic link or
/// crossing a mount. See `openat2(2)`.
func openBeneath(_ path: FileName, at root: CInt) throws(KernelError) -> Descriptor {
    var how = open_how()
    how.flags = UInt64(O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    how.resolve = UInt64(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV)
    let relative = path.isEmpty ? [UInt8(ascii: ".")] : path
    let number = relative.withCName { openat2(root, $0, &how, MemoryLayout<open_how>.size) }
    if number >= 0 { return Descriptor(owning: number) }
    let errno = Errno.current
    let isLink = errno.rawValue == ELOOP
    let remedy = isLink ? "\(path.shown) is a symbolic link; that is not followed." : nil
    throw KernelError("openat2", path.shown, errno, remedy: remedy)
}
