import Kernel
import OCISpec

/// Reads the images of an OCI image layout. See image-spec, image-layout.md.
///
/// What podman and skopeo write as an OCI archive is one, and so is what Docker writes since
/// version 25, beside its own `manifest.json`.
struct LayoutReader {
    /// An index may name indexes; none that is real goes deeper than this.
    private static let depthLimit = 4
    private static let manifestLimit = 1000

    private let files: any ArchiveFiles
    private var check: LayerCheck
    private var manifests = 0

    init(_ files: any ArchiveFiles, _ check: LayerCheck) {
        self.files = files
        self.check = check
    }

    /// All images that `index.json` names.
    mutating func images() throws(KernelError) -> [ArchivedImage] {
        var images: [ArchivedImage] = []
        for entry in try index(try files.require("index.json"), named: "index.json").manifests {
            guard let image = try read(entry, depth: 0) else { continue }
            images.append(image)
        }
        if images.isEmpty { throw corrupt(files.name, "Its index.json leads to no image.") }
        return images
    }

    /// nil for what is no image: a signature, or something else that a layout may hold.
    private mutating func read(
        _ entry: ContentDescriptor, depth: Int
    ) throws(KernelError) -> ArchivedImage? {
        try countManifest(depth)
        let file = try blob(entry)
        let name = "manifest \(entry.digest.short)"
        let json = try file.json(named: name)
        var descriptor = ContentDescriptor(
            mediaType: try mediaType(entry, json, name), digest: file.digest, size: file.size,
            platform: entry.platform)
        descriptor.annotations = [:]
        var image = ArchivedImage(
            descriptor: descriptor, id: file.digest, references: entry.archivedNames,
            files: [file])
        if MediaType.isIndex(descriptor.mediaType) {
            try readChildren(of: try index(file, named: name), depth: depth, into: &image)
            return image
        }
        return try readManifest(json, named: name, into: &image) ? image : nil
    }

    /// An index may lead to machines whose images were left out. One at least has to be whole, and
    /// this machine's, if it is named.
    private mutating func readChildren(
        of index: ImageIndex, depth: Int, into image: inout ArchivedImage
    ) throws(KernelError) {
        var found = 0
        for child in index.manifests {
            let isOwn = child.platform?.matches(.host) ?? false
            let isComplete = try isComplete(child)
            if !isOwn && !isComplete { continue }
            guard let part = try read(child, depth: depth + 1) else { continue }
            if isOwn { image.id = part.id }
            image.files += part.files
            found += 1
        }
        if found == 0 { throw corrupt(files.name, "An index in it leads to no image.") }
    }

    private func isComplete(_ child: ContentDescriptor) throws(KernelError) -> Bool {
        guard let file = try find(child) else { return false }
        guard let json = try? file.json(named: ""), let manifest = try? ImageManifest(json) else {
            // What it is instead is for the real reading to say.
            return true
        }
        for blob in [manifest.configuration] + manifest.layers {
            if try find(blob) == nil { return false }
        }
        return true
    }

    /// Adds the configuration and the layers, or says that it is no image.
    private mutating func readManifest(
        _ json: JSONReader, named name: String, into image: inout ArchivedImage
    ) throws(KernelError) -> Bool {
        let manifest = try parse(json, named: name) { json throws(SpecificationError) in
            try ImageManifest(json)
        }
        let configFile = try blob(manifest.configuration)
        var layers: [StagedFile] = []
        for layer in manifest.layers { layers.append(try blob(layer)) }
        image.id = configFile.digest
        image.files += [configFile] + layers
        guard MediaType.isConfiguration(manifest.configuration.mediaType) else { return false }
        let configuration = try parse(
            try configFile.json(named: "configuration \(configFile.digest.short)"),
            named: "configuration \(configFile.digest.short)"
        ) { json throws(SpecificationError) in try ImageConfiguration(json) }
        try check(layers, configuration)
        return true
    }

    private mutating func check(
        _ layers: [StagedFile], _ configuration: ImageConfiguration
    ) throws(KernelError) {
        guard layers.count == configuration.diffIDs.count else {
            throw corrupt(
                files.name,
                "A configuration in it has \(configuration.diffIDs.count) diff_ids for "
                    + "\(layers.count) layers.")
        }
        for (layer, diffID) in zip(layers, configuration.diffIDs) {
            try check.check(layer, is: diffID)
        }
    }

    // Blobs

    private func path(_ descriptor: ContentDescriptor) -> String {
        "blobs/\(descriptor.digest.algorithm.name)/\(descriptor.digest.hex)"
    }

    private func find(_ descriptor: ContentDescriptor) throws(KernelError) -> StagedFile? {
        try files.find(path(descriptor))
    }

    private func blob(_ descriptor: ContentDescriptor) throws(KernelError) -> StagedFile {
        let file = try files.require(path(descriptor))
        guard file.digest == descriptor.digest else {
            throw corrupt(
                files.name,
                "Its blob \(descriptor.digest.short) has another digest: "
                    + "\(file.digest).")
        }
        guard file.size == descriptor.size else {
            throw corrupt(
                files.name,
                "Its blob \(descriptor.digest.short) has \(file.size) bytes instead "
                    + "of \(descriptor.size).")
        }
        return file
    }

    // JSON

    private mutating func countManifest(_ depth: Int) throws(KernelError) {
        manifests += 1
        guard depth <= LayoutReader.depthLimit, manifests <= LayoutReader.manifestLimit else {
            throw corrupt(
                files.name,
                "It has more than \(LayoutReader.manifestLimit) manifests, or indexes "
                    + "more than \(LayoutReader.depthLimit) deep.")
        }
    }

    private func index(_ file: StagedFile, named name: String) throws(KernelError) -> ImageIndex {
        try parse(try file.json(named: name), named: name) { json throws(SpecificationError) in
            try ImageIndex(json)
        }
    }

    /// What the descriptor says or, where it says nothing, the manifest itself.
    private func mediaType(
        _ entry: ContentDescriptor, _ json: JSONReader, _ name: String
    ) throws(KernelError) -> String {
        let own = try parse(json, named: name) { json throws(SpecificationError) in
            try json.object()["mediaType"].optionalString()
        }
        if let own, !entry.mediaType.isEmpty, own != entry.mediaType {
            throw corrupt(name, "It is said to be \(entry.mediaType), and says it is \(own).")
        }
        if let own { return own }
        if !entry.mediaType.isEmpty { return entry.mediaType }
        return json["manifests"].present == nil ? MediaType.manifest : MediaType.index
    }

    private func parse<Content>(
        _ json: JSONReader, named name: String,
        _ decode: (JSONReader) throws(SpecificationError) -> Content
    ) throws(KernelError) -> Content {
        do { return try decode(json) } catch {
            throw error.asKernelError(reading: "\(name) of \(files.name)")
        }
    }
}

extension ContentDescriptor {
    /// The names that an archive has for this, if they are whole ones.
    ///
    /// A layout's own annotation may be a tag alone, such as `latest`, which names no image.
    fileprivate var archivedNames: [ImageReference] {
        guard let text = tag, text.contains(where: { $0 == ":" || $0 == "/" }),
            let reference = try? ImageReference(text), reference.digest == nil
        else { return [] }
        return [reference]
    }
}
