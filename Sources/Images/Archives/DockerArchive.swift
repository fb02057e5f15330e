import Glibc
import Kernel
import OCISpec

/// An image in `manifest.json`, the list that makes an archive one of `docker save`.
///
/// See moby's image specification, version 1.2 and later.
struct DockerArchiveEntry: Equatable {
    /// Where the configuration is in the archive.
    var configuration: String
    /// The names, in full or as Docker's users write them.
    var tags: [String]
    /// Where the layers are, the lowest first.
    var layers: [String]
}

extension DockerArchiveEntry {
    /// The file that lists them.
    static let list = "manifest.json"

    init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        configuration = try json["Config"].string()
        tags = try json["RepoTags"].optionalStrings() ?? []
        layers = try json["Layers"].optionalStrings() ?? []
    }

    var json: JSON {
        .object(present: [
            ("Config", .string(configuration)),
            ("RepoTags", tags.isEmpty ? .null : .strings(tags)),
            ("Layers", .strings(layers)),
        ])
    }
}

/// Reads the images of an archive that `docker save` has written.
///
/// Such an archive has no manifests in the sense of the image specification: they are made here. The
/// same archive always gives the same ones.
struct DockerArchiveReader {
    private let files: any ArchiveFiles
    private let area: StagingArea
    private var check: LayerCheck

    init(_ files: any ArchiveFiles, _ area: StagingArea, _ check: LayerCheck) {
        self.files = files
        self.area = area
        self.check = check
    }

    /// All images that `manifest.json` names.
    mutating func images() throws(KernelError) -> [ArchivedImage] {
        var images: [ArchivedImage] = []
        for entry in try entries() { images.append(try read(entry)) }
        if images.isEmpty { throw corrupt(files.name, "Its manifest.json names no image.") }
        return images
    }

    private func entries() throws(KernelError) -> [DockerArchiveEntry] {
        let json = try files.require(DockerArchiveEntry.list).json(named: DockerArchiveEntry.list)
        do {
            var entries: [DockerArchiveEntry] = []
            for element in try json.array() { entries.append(try DockerArchiveEntry(element)) }
            return entries
        } catch {
            throw error.asKernelError(reading: "\(DockerArchiveEntry.list) of \(files.name)")
        }
    }

    private mutating func read(_ entry: DockerArchiveEntry) throws(KernelError) -> ArchivedImage {
        let configFile = try named(entry.configuration)
        let configuration = try configuration(configFile, entry.configuration)
        guard entry.layers.count == configuration.diffIDs.count else {
            throw corrupt(
                files.name,
                "\(files.shown(entry.configuration)) has "
                    + "\(configuration.diffIDs.count) diff_ids for \(entry.layers.count) layers.")
        }
        var layers: [StagedFile] = []
        for (path, diffID) in zip(entry.layers, configuration.diffIDs) {
            let layer = try named(path)
            try check.check(layer, is: diffID)
            layers.append(layer)
        }
        let manifest = try makeManifest(configFile, layers, configuration.platform)
        return ArchivedImage(
            descriptor: manifest.descriptor, id: configFile.digest,
            references: try entry.tags.map { tag throws(KernelError) in
                try ImageReference.parse(tag)
            }, files: layers + [configFile, manifest.file])
    }

    /// A file whose name is its digest, as configurations' are, is held to it.
    private func named(_ path: String) throws(KernelError) -> StagedFile {
        let file = try files.require(path)
        let last = path.split(separator: "/").last ?? ""
        let stem = last.hasSuffix(".json") ? last.dropLast(5) : last
        guard let digest = try? Digest("sha256:" + stem), digest != file.digest else { return file }
        throw corrupt(files.name, "\(files.shown(path)) has another digest: \(file.digest).")
    }

    private func configuration(
        _ file: StagedFile, _ path: String
    ) throws(KernelError) -> ImageConfiguration {
        let json = try file.json(named: files.shown(path))
        do { return try ImageConfiguration(json) } catch {
            throw error.asKernelError(reading: "\(files.shown(path)) of \(files.name)")
        }
    }

    private func makeManifest(
        _ configuration: StagedFile, _ layers: [StagedFile], _ platform: Platform
    ) throws(KernelError) -> (descriptor: ContentDescriptor, file: StagedFile) {
        var descriptors: [ContentDescriptor] = []
        for layer in layers { descriptors.append(try layer.descriptor()) }
        let manifest = ImageManifest(
            configuration: ContentDescriptor(
                mediaType: MediaType.configuration, digest: configuration.digest,
                size: configuration.size),
            layers: descriptors)
        let file = try area.add(BytesSource(Array(manifest.json.text().utf8)))
        let descriptor = ContentDescriptor(
            mediaType: MediaType.manifest, digest: file.digest, size: file.size,
            platform: platform)
        return (descriptor, file)
    }
}

extension StagedFile {
    /// As a layer: how it is compressed is seen from its first bytes.
    fileprivate func descriptor() throws(KernelError) -> ContentDescriptor {
        let head = try PeekedSource(try open(), count: 4).head
        let isGzip = head.starts(with: [0x1F, 0x8B])
        let isZstd = head.starts(with: [0x28, 0xB5, 0x2F, 0xFD])
        return ContentDescriptor(
            mediaType: isGzip
                ? MediaType.gzipLayer : isZstd ? MediaType.zstdLayer : MediaType.layer,
            digest: digest, size: size)
    }
}

/// Bytes in memory as a source.
final class BytesSource: ByteSource {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        let piece = rest.prefix(buffer.count)
        buffer.copyBytes(from: piece)
        rest = rest.dropFirst(piece.count)
        return piece.count
    }
}
