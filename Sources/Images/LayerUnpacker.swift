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
    private let limits: UnpackLimits
    private var parent: OpenParent
    private let attributes = AttributeWriter()
    private var entries = 0
    /// How many bytes the regular files have, without their holes.
    private(set) var size = 0

    /// What this layer brought; nil where the layers below are not in the directory.
    private var ownPaths: OwnPaths?
    /// Where the layers below are, if they are not in the directory.
    private let lower: [String]

    /// Unpacks into the open directory `root`; errors call the archive `name`.
    ///
    /// - Parameters:
    ///   - holdsLower: whether the directory has the layers below in it, so that a
    ///     whiteout deletes at once.
    ///   - lower: the layers below otherwise, the topmost first. A directory that the archive
    ///     only passes through stays as it is there: overlayfs will show this layer's.
    ///   - limits: how much the archive may become; nil for what the environment says.
    init(
        into root: borrowing Descriptor, named name: String, holdsLower: Bool = false,
        lower: [String] = [], limits: UnpackLimits? = nil
    ) throws(KernelError) {
        let usual = try UnpackLimits.environment()
        let first = try OpenParent(try root.duplicate(), path: LayerPath(parts: []))
        let own = try root.duplicate()
        self.limits = limits ?? usual
        self.lower = lower
        ownPaths = holdsLower ? OwnPaths() : nil
        self.root = own
        parent = first
        archive = name
    }

    /// Unpacks everything up to the archive's end mark.
    mutating func unpack(_ reader: TarReader) throws(KernelError) {
        while let entry = try reader.next() {
            entries += 1
            if entries > limits.entries { throw limits.tooMany(archive) }
            do { try unpack(entry, reader) } catch {
                // The reader's errors name the archive already.
                if error.operation == "read" { throw error }
                throw error.renamed("unpack", "\(entry.path.shown) of \(archive)")
            }
        }
        try leaveParent()
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
    }

    /// The archive's own root directory.
    private mutating func setRoot(_ entry: TarEntry) throws(KernelError) {
        guard entry.kind == .directory else {
            throw refused("Only a directory can be the root.")
        }
        try setParent(LayerPath(parts: []))
        let name = [UInt8(ascii: ".")]
        if ownPaths != nil { try attributes.removeOthers(than: entry, of: name, at: root.number) }
        try attributes.set(entry, of: .name(name, at: root.number))
        parent.time = entry.modified
    }

    // Making entries

    private mutating func make(
        _ entry: TarEntry, _ name: FileName, _ path: LayerPath, _ reader: TarReader
    ) throws(KernelError) {
        switch entry.kind {
        case .regular: return try makeFile(entry, name, reader)
        case .hardLink(let target):
            return try makeHardLink(name, path, to: try LayerPath(target))
        case .directory: try makeDirectory(entry, name)
        case .symbolicLink(let target):
            try creating(name) { at, name in target.withCName { symlinkat($0, at, name) } }
        case .characterDevice, .blockDevice:
            // Only the machine's root makes devices. Something may be mounted on this one.
            if attributes.isInUserNamespace { return try makeFile(entry, name, reader) }
            try makeDevice(entry, name)
        case .fifo: try creating(name) { at, name in mknodat(at, name, S_IFIFO | 0o600, 0) }
        }
        try setAttributes(entry, name)
    }

    private func setAttributes(_ entry: TarEntry, _ name: FileName) throws(KernelError) {
        let at = parent.descriptor.number
        if parent.handsDownACL { try attributes.removeOthers(than: entry, of: name, at: at) }
        try attributes.set(entry, of: .name(name, at: at))
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

    private mutating func makeFile(
        _ entry: TarEntry, _ name: FileName, _ reader: TarReader
    ) throws(KernelError) {
        let number = try creating(name) { at, name in
            openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        }
        let file = Descriptor(owning: number)
        if case .regular(let wanted) = entry.kind {
            var end = 0
            while let piece = try reader.nextPiece() {
                size += piece.bytes.count
                if size > limits.size { throw limits.tooLarge(archive) }
                try write(piece, to: file.number, name)
                end = piece.offset + piece.bytes.count
            }
            // What is behind the last part is a hole.
            if end < wanted && ftruncate(number, wanted) < 0 {
                throw KernelError("ftruncate", name.shown, .current)
            }
        }
        if parent.handsDownACL { return try setAttributes(entry, name) }
        try attributes.set(entry, of: .open(file.number))
    }

    private func write(
        _ piece: TarReader.Piece, to file: CInt, _ name: FileName
    ) throws(KernelError) {
        var done = 0
        while done < piece.bytes.count {
            let put = pwrite(
                file, piece.bytes.baseAddress.map { $0 + done }, piece.bytes.count - done,
                piece.offset + done)
            let errno = Errno.current
            if put < 0 && errno == .interrupted { continue }
            guard put >= 0 else { throw KernelError("write", name.shown, errno) }
            done += put
        }
    }

    /// A directory that is there already stays, with what is in it.
    private mutating func makeDirectory(
        _ entry: TarEntry, _ name: FileName
    ) throws(KernelError) {
        let at = parent.descriptor.number
        if name.withCName({ mkdirat(at, $0, 0o700) }) == 0 { return }
        let type = fileMode(name, at) & S_IFMT
        if type == S_IFDIR {
            if ownPaths != nil { try attributes.removeOthers(than: entry, of: name, at: at) }
            return
        }
        let hidesLower = type == S_IFCHR && isWhiteout(name, at)
        try creating(name) { at, name in mkdirat(at, name, 0o700) }
        // The lower directory was deleted before this one was made: it must not show through.
        if hidesLower { try makeOpaque(name, at) }
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
        let directory = try OpenParent(try openDirectory(path), path: path)
        for name in try directoryEntries(directory.descriptor) { try deleteLower(name, in: path) }
        try attributes.setTime(directory.time, of: .open(directory.descriptor.number))
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
        try leaveParent()
        parent = try OpenParent(try openDirectory(path), path: path)
    }

    private func leaveParent() throws(KernelError) {
        try attributes.setTime(parent.time, of: .open(parent.descriptor.number))
    }

    private mutating func makeParents(of path: LayerPath) throws(KernelError) {
        for depth in path.parts.indices {
            try setParent(LayerPath(parts: Array(path.parts[..<depth])))
            let name = path.parts[depth]
            if fileMode(name, parent.descriptor.number) != 0 { continue }
            let entry = try passedThrough(LayerPath(parts: Array(path.parts[...depth])))
            try makeDirectory(entry, name)
            try setAttributes(entry, name)
        }
    }

    /// The entry that the archive ought to have for a directory above others.
    private func passedThrough(_ path: LayerPath) throws(KernelError) -> TarEntry {
        let layers = try LowerLayers(lower)
        if let entry = try layers.directory(path.parts) { return entry }
        return TarEntry(
            path: path.bytes, kind: .directory, mode: 0o755, owner: 0, group: 0,
            modified: parent.time)
    }

    private func openDirectory(_ path: LayerPath) throws(KernelError) -> Descriptor {
        try openBeneath(path.bytes, at: root.number)
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
