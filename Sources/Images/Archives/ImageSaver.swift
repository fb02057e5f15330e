import Kernel
import OCISpec

/// Writes images as an archive that other machines and other programs can load.
///
/// The same images always give the same archive, byte for byte.
public struct ImageSaver: Sendable {
    /// What programs are to load it.
    public enum Format: String, Sendable, CaseIterable {
        /// An OCI image layout with Docker's `manifest.json` beside it: everybody's, old and new.
        case docker
        /// An OCI image layout alone.
        case oci
    }

    private let store: ContentStore
    private let format: Format

    /// Saves from a store.
    public init(from store: ContentStore, as format: Format) {
        self.store = store
        self.format = format
    }

    /// Saves images by their names or ids.
    ///
    /// An image that is asked for by its id has no name in the archive. Every blob is hashed on its
    /// way out.
    /// - Throws: `EBADMSG` where a blob is not what its digest says; the archive is worth nothing
    ///   then.
    public func save(
        _ names: [String], to sink: some ByteSink, progress: @escaping ProgressHandler = { _ in }
    ) throws(KernelError) {
        // Until the last blob is read, nothing may be collected as garbage.
        let lease = try store.hold()
        var contents = ArchiveContents(store)
        for name in names { try contents.add(name) }
        let writer = ArchiveWriter(to: sink)
        // The lists come first: who reads from a pipe knows early what is to come.
        try writer.write(#"{"imageLayoutVersion":"1.0.0"}"#, as: "oci-layout")
        try writer.write(contents.index.text(), as: "index.json")
        if format == .docker {
            try writer.write(try contents.dockerList().text(), as: DockerArchiveEntry.list)
            try writer.write(contents.dockerNames().text(), as: "repositories")
        }
        try write(contents.blobs, writer, progress)
        try writer.finish()
        lease.release()
    }

    private func write(
        _ blobs: [ContentDescriptor], _ writer: ArchiveWriter,
        _ progress: @escaping ProgressHandler
    ) throws(KernelError) {
        let total = blobs.reduce(0) { $0 + $1.size }
        var before = 0
        for blob in blobs {
            let start = before
            let source = try store.source(blob) { done in
                progress(Progress(step: "Saving", done: start + done, total: total))
            }
            try writer.write(source, blob)
            before += blob.size
        }
    }
}

/// What goes into an archive: the images, their names, and all blobs that they need, each once.
private struct ArchiveContents {
    private struct Entry {
        let descriptor: ContentDescriptor
        var references: [ImageReference]
    }

    private let store: ContentStore
    private var entries: [Entry] = []
    private(set) var blobs: [ContentDescriptor] = []
    private var known: Set<Digest> = []

    init(_ store: ContentStore) { self.store = store }

    mutating func add(_ name: String) throws(KernelError) {
        let descriptor = try store.entry(name)
        let reference = (try? ImageReference.parse(name)).flatMap { reference in
            descriptor.isTagged(reference) ? reference : nil
        }
        if let index = entries.firstIndex(where: { $0.descriptor.digest == descriptor.digest }) {
            let isNew = reference.map { !entries[index].references.contains($0) } ?? false
            if let reference, isNew { entries[index].references.append(reference) }
            return
        }
        entries.append(Entry(descriptor: descriptor, references: reference.map { [$0] } ?? []))
        try addBlobs(of: descriptor)
    }

    private mutating func addBlobs(of descriptor: ContentDescriptor) throws(KernelError) {
        if MediaType.isIndex(descriptor.mediaType) {
            // Of other machines' images there is what was pulled or loaded, and no more.
            for child in try store.imageIndex(descriptor).manifests where store.has(child.digest) {
                try addBlobs(of: child)
            }
        } else {
            let manifest = try store.manifest(descriptor)
            for blob in manifest.layers + [manifest.configuration] { add(blob) }
        }
        add(descriptor)
    }

    private mutating func add(_ blob: ContentDescriptor) {
        if known.insert(blob.digest).inserted { blobs.append(blob) }
    }

    /// `index.json`: an entry for each name, as everybody writes it who has several.
    var index: JSON {
        var manifests: [ContentDescriptor] = []
        for entry in entries {
            if entry.references.isEmpty { manifests.append(entry.descriptor.withoutName) }
            manifests += entry.references.map { entry.descriptor.tagged($0) }
        }
        return ImageIndex(manifests: manifests).json
    }

    /// `manifest.json`: an image for this machine, or for another where that is all there is.
    func dockerList() throws(KernelError) -> JSON {
        var list: [JSON] = []
        for entry in entries {
            let image = try store.load(entry.descriptor, for: .any)
            list.append(
                DockerArchiveEntry(
                    configuration: path(image.id), tags: entry.references.map(\.familiar),
                    layers: image.manifest.layers.map { path($0.digest) }
                ).json)
        }
        return .array(list)
    }

    /// `repositories`: what Docker before 1.10 read, and some programs still look for.
    func dockerNames() -> JSON {
        var names: [JSON.Member] = []
        for entry in entries {
            for reference in entry.references {
                let tag = JSON.Member(
                    reference.tag ?? "latest", .string(entry.descriptor.digest.hex))
                names.add(tag, to: reference.familiarName)
            }
        }
        return .object(names)
    }
}

private func path(_ digest: Digest) -> String { "blobs/\(digest.algorithm.name)/\(digest.hex)" }

extension [JSON.Member] {
    fileprivate mutating func add(_ tag: Element, to name: String) {
        if let index = firstIndex(where: { $0.name == name }),
            case .object(let tags) = self[index].value
        {
            self[index].value = .object(tags + [tag])
        } else {
            append(Element(name, .object([tag])))
        }
    }
}

/// Writes the files of an archive: all of the same date and owner, so that nothing depends on the
/// moment.
private final class ArchiveWriter {
    private let writer: TarWriter
    private let sink: any ByteSink
    private var directories: [String] = []

    init(to sink: any ByteSink) {
        self.sink = sink
        writer = TarWriter(sink)
    }

    func write(_ text: String, as name: String) throws(KernelError) {
        let bytes = Array(text.utf8)
        try writer.append(entry(name, .regular(size: bytes.count), mode: 0o644))
        try bytes.withUnsafeBufferPointer { bytes throws(KernelError) in
            try writer.writeContent(UnsafeRawBufferPointer(bytes))
        }
        try writer.endContent(size: bytes.count)
    }

    /// Writes a blob that is held to its digest. The header came before it, so its size has to
    /// be right at any rate.
    func write(_ content: some ByteSource, _ blob: ContentDescriptor) throws(KernelError) {
        try makeDirectory("blobs/")
        try makeDirectory("blobs/\(blob.digest.algorithm.name)/")
        try writer.append(entry(path(blob.digest), .regular(size: blob.size), mode: 0o644))
        let source = HashingSource(content, blob.digest.algorithm)
        let count = CountingSink(sink, limit: blob.size, name: blob.digest.description)
        try source.copy(to: count)
        guard count.size == blob.size, source.digest == blob.digest else {
            throw corrupt(
                "blob \(blob.digest)",
                "It is not what its digest says any more; import or pull the image again.")
        }
        try writer.endContent(size: blob.size)
    }

    func finish() throws(KernelError) { try writer.finish() }

    private func makeDirectory(_ path: String) throws(KernelError) {
        if directories.contains(path) { return }
        directories.append(path)
        try writer.append(entry(path, .directory, mode: 0o755))
    }

    private func entry(_ path: String, _ kind: TarEntry.Kind, mode: UInt32) -> TarEntry {
        TarEntry(
            path: FileName(path.utf8), kind: kind, mode: mode, owner: 0, group: 0,
            modified: TarTime(seconds: 0))
    }
}

/// Passes on up to so many bytes.
private final class CountingSink: ByteSink {
    private let sink: any ByteSink
    private let limit: Int
    private let name: String
    private(set) var size = 0

    init(_ sink: any ByteSink, limit: Int, name: String) {
        self.sink = sink
        self.limit = limit
        self.name = name
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(KernelError) {
        size += bytes.count
        guard size <= limit else {
            throw corrupt("blob \(name)", "It has more than \(limit) bytes.")
        }
        try sink.write(bytes)
    }
}
