import CLinux
import Glibc
import Kernel

/// Unpacks a layer's archive into a directory: an empty one, in the form that overlayfs wants for
/// a layer, or one with the layers below in it, which become what the layer makes of them.
///
/// The archive is somebody else's, and this runs as root. So nothing of it is ever a path
/// for the kernel to walk freely: the parent of each entry is opened by `openat2(2)` below the
/// target and without following any symbolic link, and the last part of the name is only used with
/// calls that do not follow one either. A name with `..` is refused; a leading `/` is the target.
struct LayerUnpacker: ~Copyable {
    /// As deep as directories may lie: more than anybody has, and few enough to be
    /// removed again with one descriptor for each.
    static let depthLimit = 256

    private let root: Descriptor
    private let archive: String
    private var parent: OpenParent
    private var directoryTimes: [(path: LayerPath, time: TarTime)] = []
    private let buffer = WorkBuffer()
    /// Whether root here is root of a user namespace only, which may not do all of this.
    private let isInUserNamespace = !isInFirstUserNamespace
    /// How many bytes the regular files have.
    private(set) var size = 0

    /// What this layer brought; nil where the layers below are not in the directory.
    private var ownPaths: OwnPaths?

    /// Unpacks into the open directory `root`; errors call the archive `name`.
    ///
    /// - Parameter holdsLower: whether the directory has the layers below in it, so that a
    ///   whiteout deletes at once.
    init(
        into root: borrowing Descriptor, named name: String, holdsLower: Bool = false
    ) throws(KernelError) {
        ownPaths = holdsLower ? OwnPaths() : nil
        let own = try root.duplicate()
        let first = try root.duplicate()
        self.root = own
        parent = OpenParent(descriptor: first, path: nil)
        archive = name
    }

    /// Unpacks everything up to the archive's end mark.
    mutating func unpack(_ reader: TarReader) throws(KernelError) {
        while let entry = try reader.next() {
            do { try unpack(entry, reader) } catch {
                // The reader's errors name the archive already.
                if error.operation == "read" { throw error }
                throw error.renamed("unpack", "\(entry.path.shown) of \(archive)")
            }
        }
        try restoreDirectoryTimes()
    }

    private mutating func unpack(_ entry: TarEntry, _ reader: TarReader) throws(KernelError) {
        let path = try LayerPath(entry.path)
        guard path.parts.count <= LayerUnpacker.depthLimit else {
            throw KernelError("open", "", Errno(rawValue: ENAMETOOLONG))
        }
        guard let name = path.parts.last else { return try setRoot(entry) }
        try open(parentOf: path)
        if try makeWhiteout(name, path) { return }
        ownPaths?.insert(path)
        try make(entry, name, path, reader)
        if case .hardLink = entry.kind { return }
        try setAttributes(entry, name)
        if entry.kind == .directory { directoryTimes.append((path, entry.modified)) }
    }

    /// The archive's own root directory.
    private mutating func setRoot(_ entry: TarEntry) throws(KernelError) {
        guard entry.kind == .directory else {
            throw refused("Only a directory can be the root.")
        }
        try setParent(LayerPath(parts: []))
        try setAttributes(entry, [UInt8(ascii: ".")])
        directoryTimes.append((LayerPath(parts: []), entry.modified))
    }

    // Making entries

    private mutating func make(
        _ entry: TarEntry, _ name: FileName, _ path: LayerPath, _ reader: TarReader
    ) throws(KernelError) {
        switch entry.kind {
        case .regular: try makeFile(name, reader)
        case .directory: try makeDirectory(name)
        case .symbolicLink(let target):
            try creating(name) { at, name in target.withCName { symlinkat($0, at, name) } }
        case .hardLink(let target): try makeHardLink(name, path, to: try LayerPath(target))
        case .characterDevice, .blockDevice:
            // Only the machine's root makes devices. Something may be mounted on this one.
            if isInUserNamespace { return try makeFile(name, reader) }
            try makeDevice(entry, name)
        case .fifo: try creating(name) { at, name in mknodat(at, name, S_IFIFO | 0o600, 0) }
        }
    }

    private mutating func makeDevice(_ entry: TarEntry, _ name: FileName) throws(KernelError) {
        switch entry.kind {
        case .characterDevice(let major, let minor):
            let device = device_number(major, minor)
            try creating(name) { at, name in mknodat(at, name, S_IFCHR | 0o600, device) }
        case .blockDevice(let major, let minor):
            let device = device_number(major, minor)
            try creating(name) { at, name in mknodat(at, name, S_IFBLK | 0o600, device) }
        default: break
        }
    }

    /// Makes `name` in the open parent; what an earlier entry put there goes first.
    @discardableResult
    private mutating func creating(
        _ name: FileName, _ make: (CInt, UnsafePointer<CChar>) -> CInt
    ) throws(KernelError) -> CInt {
        let directory = parent.descriptor.number
        let result = name.withCName { make(directory, $0) }
        if result >= 0 { return result }
        let errno = Errno.current
        guard errno == .fileExists else { throw KernelError("create", name.shown, errno) }
        try removeTree(name, at: directory)
        let second = name.withCName { make(directory, $0) }
        guard second >= 0 else { throw KernelError("create", name.shown, .current) }
        return second
    }

    private mutating func makeFile(_ name: FileName, _ reader: TarReader) throws(KernelError) {
        let number = try creating(name) { at, name in
            openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        }
        let sink = FileSink(Descriptor(owning: number), named: name.shown)
        while true {
            let count = try reader.readContent(into: buffer.bytes)
            if count == 0 { return }
            try sink.write(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
            size += count
        }
    }

    /// A directory that is there already stays, with what is in it.
    private mutating func makeDirectory(_ name: FileName) throws(KernelError) {
        let directory = parent.descriptor.number
        let type = fileMode(name, directory) & S_IFMT
        if type == S_IFDIR { return }
        let hidesLower = type == S_IFCHR && isWhiteout(name, directory)
        try creating(name) { at, name in mkdirat(at, name, 0o755) }
        // The lower directory was deleted before this one was made: it must not show through.
        if hidesLower { try makeOpaque(name, directory) }
    }

    private mutating func makeHardLink(
        _ name: FileName, _ path: LayerPath, to target: LayerPath
    ) throws(KernelError) {
        guard path != target, let targetName = target.parts.last else {
            throw refused("It is a hard link to itself or to the root.")
        }
        let targetParent = try openDirectory(target.parent)
        try creating(name) { at, name in
            targetName.withCName { linkat(targetParent.number, $0, at, name, 0) }
        }
    }

    // Whiteouts. See image-spec, layer.md, "Whiteouts", and the kernel's overlayfs.rst.

    /// Whether `name` was a mark for something deleted. Archives spell those `.wh.NAME`;
    /// overlayfs wants a device 0/0 called NAME, or an attribute on the directory.
    private mutating func makeWhiteout(
        _ name: FileName, _ path: LayerPath
    ) throws(KernelError) -> Bool {
        let prefix = Array(".wh.".utf8)
        guard name.starts(with: prefix) else { return false }
        let hidden = FileName(name.dropFirst(prefix.count))
        if hidden.elementsEqual(".wh..opq".utf8) {
            if ownPaths != nil {
                try deleteLower(in: path.parent)
            } else {
                try makeOpaque([UInt8(ascii: ".")], parent.descriptor.number)
            }
        } else if !hidden.starts(with: prefix) {
            // Others of this form are the notes of aufs to itself.
            try hide(hidden, path.parent)
        }
        return true
    }

    private mutating func hide(
        _ name: FileName, _ parentPath: LayerPath
    ) throws(KernelError) {
        guard !name.isEmpty, name != [46], name != [46, 46] else {
            throw refused("It hides no file that could be.")
        }
        if ownPaths != nil { return try deleteLower(name, in: parentPath) }
        // A mark is about the layers below; what this layer itself brings stays.
        let directory = parent.descriptor.number
        let type = fileMode(name, directory) & S_IFMT
        if type == S_IFDIR { return try makeOpaque(name, directory) }
        if type != 0 { return }
        try creating(name) { at, name in mknodat(at, name, S_IFCHR, 0) }
    }

    /// Deletes `name` of the layers below, and of a directory that this layer brings as well what
    /// they have in it.
    private func deleteLower(_ name: FileName, in path: LayerPath) throws(KernelError) {
        let directory = try openDirectory(path)
        let child = LayerPath(parts: path.parts + [name])
        if ownPaths?.contains(child) != true { return try removeTree(name, at: directory.number) }
        if fileMode(name, directory.number) & S_IFMT == S_IFDIR { try deleteLower(in: child) }
    }

    private func deleteLower(in path: LayerPath) throws(KernelError) {
        for name in try directoryEntries(openDirectory(path)) { try deleteLower(name, in: path) }
    }

    private func makeOpaque(_ name: FileName, _ directory: CInt) throws(KernelError) {
        for attribute in opaqueAttributes {
            let mark = ExtendedAttribute(name: Array(attribute.utf8), value: [UInt8(ascii: "y")])
            try setExtendedAttribute(mark, of: name, at: directory)
        }
    }

    private func isWhiteout(_ name: FileName, _ directory: CInt) -> Bool {
        var status = stat()
        return name.withCName { fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW) } == 0
            && status.st_mode & S_IFMT == S_IFCHR && status.st_rdev == 0
    }

    /// 0 where there is nothing.
    private func fileMode(_ name: FileName, _ directory: CInt) -> mode_t {
        var status = stat()
        let result = name.withCName { fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW) }
        return result == 0 ? status.st_mode : 0
    }

    // Attributes

    /// The owner comes first: changing it clears set-user-ID and the file's capabilities.
    /// The time comes last: everything else changes it.
    private func setAttributes(_ entry: TarEntry, _ name: FileName) throws(KernelError) {
        let at = parent.descriptor.number
        let owned = name.withCName {
            fchownat(at, $0, entry.owner, entry.group, AT_SYMLINK_NOFOLLOW)
        }
        if owned < 0 {
            let errno = Errno.current
            // An id that the namespace does not know: then the file is the user's own.
            guard isInUserNamespace, errno == .invalidArgument else {
                throw KernelError("fchownat", name.shown, errno)
            }
        }
        var isLink = false
        if case .symbolicLink = entry.kind { isLink = true }
        // A symbolic link has no mode, and fchmodat would follow it.
        if !isLink && name.withCName({ fchmodat(at, $0, entry.mode, 0) }) < 0 {
            throw KernelError("fchmodat", name.shown, .current)
        }
        for attribute in entry.attributes where isFilesOwn(attribute.name) {
            try setExtendedAttribute(attribute, of: name, at: at)
        }
        try setTime(entry.modified, of: name, at: at)
    }

    private func setTime(_ time: TarTime, of name: FileName, at: CInt) throws(KernelError) {
        let moment = timespec(tv_sec: time.seconds, tv_nsec: time.nanoseconds)
        let times = [moment, moment]
        if name.withCName({ utimensat(at, $0, times, AT_SYMLINK_NOFOLLOW) }) < 0 {
            throw KernelError("utimensat", name.shown, .current)
        }
    }

    /// Done at the very end: each file made in a directory changes the directory's time.
    private mutating func restoreDirectoryTimes() throws(KernelError) {
        for (path, time) in directoryTimes.reversed() {
            // A later entry may have put something else in its place.
            guard let directory = try? openDirectory(path) else { continue }
            try setTime(time, of: [UInt8(ascii: ".")], at: directory.number)
        }
    }

    // Parents

    /// Opens the directory that `path` is in; archives may leave out to name it.
    private mutating func open(parentOf path: LayerPath) throws(KernelError) {
        let wanted = path.parent
        if parent.path == wanted && parent.isCurrent { return }
        do { try setParent(wanted) } catch  where error.errno == .noSuchFile {
            try makeParents(of: wanted)
            try setParent(wanted)
        }
    }

    private mutating func setParent(_ path: LayerPath) throws(KernelError) {
        parent = OpenParent(descriptor: try openDirectory(path), path: path)
    }

    private mutating func makeParents(of path: LayerPath) throws(KernelError) {
        for depth in path.parts.indices {
            try setParent(LayerPath(parts: Array(path.parts[..<depth])))
            if fileMode(path.parts[depth], parent.descriptor.number) == 0 {
                try makeDirectory(path.parts[depth])
            }
        }
    }

    private func openDirectory(_ path: LayerPath) throws(KernelError) -> Descriptor {
        try openBeneath(path.bytes, at: root.number)
    }
}

/// The directory that the last entry went into, so that its neighbours need not look it up again.
private struct OpenParent: ~Copyable {
    let descriptor: Descriptor
    let path: LayerPath?

    /// False once an entry took the directory's place: then nothing links to it any more.
    var isCurrent: Bool {
        var status = stat()
        return fstat(descriptor.number, &status) == 0 && status.st_nlink > 0
    }
}

/// A name from an archive, taken apart and found harmless.
struct LayerPath: Equatable {
    let parts: [FileName]

    /// The path of these parts.
    init(parts: [FileName]) { self.parts = parts }

    /// Takes `path` apart. Slashes at its start or end, and dots between, mean nothing.
    /// - Throws: `EXDEV`, the kernel's own word for a way out, where there is a `..`.
    init(_ path: FileName) throws(KernelError) {
        parts = path.split(separator: UInt8(ascii: "/")).map(FileName.init).filter { $0 != [46] }
        if parts.contains([46, 46]) {
            throw refused("It leads out of the archive by '..'.")
        }
    }

    /// Without the last part.
    var parent: LayerPath { LayerPath(parts: Array(parts.dropLast())) }

    /// For the kernel, relative to the root.
    var bytes: FileName {
        parts.isEmpty ? [UInt8(ascii: ".")] : FileName(parts.joined(separator: [UInt8(ascii: "/")]))
    }
}

private func refused(_ reason: String) -> KernelError {
    KernelError("refuse", "", Errno(rawValue: EXDEV), remedy: reason)
}
