import Glibc
import Kernel

/// One file that a layer adds, changes or deletes.
public struct LayerChange: Equatable, Sendable {
    /// What became of it.
    public enum Kind: Equatable, Sendable {
        /// The layers below have nothing of that name.
        case added
        /// It was there; or something below it changed, where it is a directory.
        case modified
        /// It is gone.
        case deleted
    }

    /// From the root, without a slash at its start or end; empty for the root itself.
    public let path: FileName
    /// What has become of it.
    public let kind: Kind
}

/// Finds what was changed in a root file system, and writes that as a layer.
///
/// It compares files, not how a driver keeps them: a file that overlayfs copied up and nobody
/// changed is no change, and an opaque directory is its deleted names one by one. So the same
/// change gives the same archive whether the snapshot was an overlay or a whole copy. image-spec,
/// layer.md, asks for explicit whiteouts too.
public final class LayerDiff {
    /// The changed files.
    public enum Upper: Sendable {
        /// An overlay's `upperdir`: what is not in it has not changed.
        case overlay(String)
        /// A whole tree: what is not in it is deleted.
        case tree(String)

        fileprivate var path: String {
            switch self {
            case .overlay(let path), .tree(let path): path
            }
        }
    }

    private let root: Descriptor
    private let isOverlay: Bool
    private let lower: LowerLayers
    private var found: [LayerChange] = []
    private var links = LinkGroups()
    private let comparison = FileComparison()

    /// Compares `upper` with the layers that were below it.
    ///
    /// - Parameter lower: directories in the form that overlayfs wants, the topmost first; for a
    ///   copy the one tree that it was copied from.
    public init(of upper: Upper, on lower: [String]) throws(KernelError) {
        self.lower = try LowerLayers(lower)
        if case .overlay = upper { isOverlay = true } else { isOverlay = false }
        root = try Descriptor.open(upper.path, O_RDONLY | O_DIRECTORY)
    }

    /// What changed: directories before what is in them, names in the order of their bytes.
    ///
    /// The directories on the way to a change are named as well, as `docker diff` does.
    public func changes() throws(KernelError) -> [LayerChange] {
        found = []
        links = LinkGroups()
        if try isRootChanged() { found.append(LayerChange(path: [], kind: .modified)) }
        try compare(
            root, Place(path: [], depth: 0, layers: lower.all, hidesLower: !isOverlay))
        return links.completed(found)
    }

    /// Writes the changes, which ``changes()`` found, as an uncompressed layer.
    public func write(
        _ changes: [LayerChange], to sink: any ByteSink,
        progress: @escaping (Int) -> Void = { _ in }
    ) throws(KernelError) {
        let archiver = FileArchiver(to: sink, progress: progress)
        for change in changes {
            // Where the layer goes to has a name already.
            do { try write(change, to: archiver) } catch  where error.operation != "write" {
                throw error.renamed(error.operation, change.path.shown)
            }
        }
        try archiver.finish()
    }

    private func write(
        _ change: LayerChange, to archiver: FileArchiver
    ) throws(KernelError) {
        let (parent, name) = split(change.path)
        if change.kind == .deleted {
            let directory = parent.isEmpty ? [] : parent + [UInt8(ascii: "/")]
            return try archiver.appendMark(directory + Whiteout.prefix + name)
        }
        let directory = try openBeneath(parent, at: root.number)
        let file = name.isEmpty ? [UInt8(ascii: ".")] : name
        var status = try fileStatus(file, at: directory.number)
        if name.isEmpty { status.st_mtim = try lower.root()?.status.st_mtim ?? timespec() }
        let isDirectory = status.st_mode & S_IFMT == S_IFDIR
        let path = name.isEmpty ? [UInt8(ascii: ".")] : change.path
        try archiver.append(
            file, status, at: directory.number,
            as: isDirectory ? path + [UInt8(ascii: "/")] : path)
    }

    // Comparing

    /// A directory of the upper tree and what is known about it.
    private struct Place {
        let path: FileName
        let depth: Int
        /// Those that have it too, and are not hidden there.
        let layers: [Int]
        /// Whether what the layers have and the upper directory has not is deleted.
        let hidesLower: Bool

        func path(of name: FileName) -> FileName {
            path.isEmpty ? name : path + [UInt8(ascii: "/")] + name
        }
    }

    /// The engine makes an overlay's upper directory, so the time of the root says nothing.
    private func isRootChanged() throws(KernelError) -> Bool {
        guard let old = try lower.root() else { return false }
        var new = OpenedFile(old.name, try fileStatus(old.name, at: root.number), at: root.number)
        new.status.st_mtim = old.status.st_mtim
        return try comparison.differ(old, new)
    }

    private func compare(
        _ directory: borrowing Descriptor, _ place: Place
    ) throws(KernelError) {
        guard place.depth <= LayerUnpacker.depthLimit else {
            throw KernelError(
                "compare", place.path.shown, Errno(rawValue: ENAMETOOLONG),
                remedy: "A layer may be \(LayerUnpacker.depthLimit) directories deep; "
                    + "remove what lies deeper.")
        }
        for step in try steps(directory, place) {
            do { try take(step, directory, place) } catch {
                throw error.object.hasPrefix("/") || error.operation == "compare"
                    ? error : error.renamed(error.operation, place.path(of: step.name).shown)
            }
        }
    }

    /// What is to be done about one name. All of a directory's are found before the
    /// directories in it are gone through, so that each layer is open only once at a time.
    private struct Step {
        let name: FileName
        /// nil where nothing has changed.
        let kind: LayerChange.Kind?
        var status = stat()
        /// The layers that are to be compared with the directory `name`; nil for other files.
        var layers: [Int]?
        var hidesLower = false
    }

    private func steps(
        _ directory: borrowing Descriptor, _ place: Place
    ) throws(KernelError) -> [Step] {
        let opened = try lower.open(place.path, place.layers)
        let names = try directoryEntries(directory)
        var steps: [Step] = []
        var hidesLower = place.hidesLower
        if isOverlay && isOpaque([UInt8(ascii: ".")], at: directory.number) { hidesLower = true }
        var present: Set<FileName> = []
        for name in names {
            if isOverlay && name == Whiteout.opaque {
                hidesLower = true
                continue
            }
            let status = try fileStatus(name, at: directory.number)
            if isAbsent(status) {
                // A mark for what was never there is no change.
                let isNews = !hidesLower && opened.find(name) != nil
                if isNews { steps.append(Step(name: name, kind: .deleted)) }
                continue
            }
            try verify(name)
            present.insert(name)
            steps.append(
                try step(OpenedFile(name, status, at: directory.number), opened, hidesLower))
        }
        if hidesLower {
            for name in try opened.names() where !present.contains(name) {
                steps.append(Step(name: name, kind: .deleted))
            }
        }
        return steps.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }

    private func step(
        _ new: OpenedFile, _ opened: OpenedLayers, _ hidesLower: Bool
    ) throws(KernelError) -> Step {
        let old = opened.find(new.name)
        if isOverlay { try refuseNotes(on: new) }
        var kind: LayerChange.Kind? = .added
        if let old { kind = try comparison.differ(old.file, new) ? .modified : nil }
        var step = Step(name: new.name, kind: kind, status: new.status)
        if new.isDirectory {
            step.layers = old?.layers ?? []
            step.hidesLower = hidesLower
        }
        return step
    }

    private func take(
        _ step: Step, _ parent: borrowing Descriptor, _ place: Place
    ) throws(KernelError) {
        let path = place.path(of: step.name)
        guard let layers = step.layers else {
            if let kind = step.kind { found.append(LayerChange(path: path, kind: kind)) }
            if step.kind != .deleted {
                links.add(path, step.status, isChanged: step.kind != nil)
            }
            return
        }
        // It comes before what is in it; whether it has changed may be known only afterwards.
        let position = found.count
        found.append(LayerChange(path: path, kind: step.kind ?? .modified))
        try compare(
            try openDirectory(step.name, at: parent.number),
            Place(
                path: path, depth: place.depth + 1, layers: layers, hidesLower: step.hidesLower))
        if step.kind == nil && found.count == position + 1 { found.removeLast() }
    }

    /// Whether an archive cannot hold it, or it is overlayfs's own mark.
    private func isAbsent(_ status: stat) -> Bool {
        let type = status.st_mode & S_IFMT
        return type == S_IFSOCK || type == S_IFCHR && status.st_rdev == 0
    }

    private func verify(_ name: FileName) throws(KernelError) {
        if !name.starts(with: Whiteout.prefix) { return }
        throw KernelError(
            "compare", name.shown, .invalidArgument,
            remedy: "In a layer this name means a deleted file; rename it.")
    }

    /// With some options, which Hull does not use, an overlay keeps less in `upperdir`
    /// than the file's content, or another name for it.
    private func refuseNotes(on file: OpenedFile) throws(KernelError) {
        for note in ["redirect", "metacopy"]
        where hasAttribute("trusted.overlay." + note, file.name, at: file.directory)
            || hasAttribute("user.overlay." + note, file.name, at: file.directory)
        {
            throw KernelError(
                "compare", file.name.shown, Errno(rawValue: ENOTSUP),
                remedy: "The overlay was mounted with `\(note)`; compare the mounted tree.")
        }
    }
}

/// The directory that `path` is in, and its name there.
private func split(_ path: FileName) -> (parent: FileName, name: FileName) {
    guard let slash = path.lastIndex(of: UInt8(ascii: "/")) else { return ([], path) }
    return (FileName(path[..<slash]), FileName(path[(slash + 1)...]))
}

/// The names that are the same file, of which a layer holds all or none: a hard link to a
/// file of another layer would link to nothing where the layer is unpacked on its own.
private struct LinkGroups {
    private var groups: [FileIdentity: (paths: [FileName], isChanged: Bool)] = [:]

    mutating func add(_ path: FileName, _ status: stat, isChanged: Bool) {
        guard status.st_nlink > 1 else { return }
        var group = groups[FileIdentity(status)] ?? ([], false)
        group.paths.append(path)
        group.isChanged = group.isChanged || isChanged
        groups[FileIdentity(status)] = group
    }

    /// `changes`, with the unchanged names of changed files and the directories above those.
    func completed(_ changes: [LayerChange]) -> [LayerChange] {
        var known: Set<FileName> = []
        for change in changes { known.insert(change.path) }
        var all = changes
        for group in groups.values where group.isChanged {
            for path in group.paths {
                var rest = path
                while !rest.isEmpty && known.insert(rest).inserted {
                    all.append(LayerChange(path: rest, kind: .modified))
                    rest = split(rest).parent
                }
            }
        }
        if all.count == changes.count { return changes }
        return all.sorted { precedes($0.path, $1.path) }
    }

    /// As a walk finds them: a slash before all other bytes.
    private func precedes(_ one: FileName, _ other: FileName) -> Bool {
        let slash = UInt8(ascii: "/")
        return one.lexicographicallyPrecedes(other) { one, other in
            one != other && (one == slash || other != slash && one < other)
        }
    }
}
