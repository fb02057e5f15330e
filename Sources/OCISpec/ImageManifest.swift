/// One image for one platform: a configuration and its layers, the lowest first.
///
/// See image-spec, manifest.md. Docker's version 2, schema 2 has the same members.
public struct ImageManifest: Equatable, Sendable {
    /// How many layers a manifest may have: twice as many as the kernel can lay over each other.
    public static let layerLimit = 1000

    /// Which of the two specifications it follows.
    public var mediaType: String
    /// Where the ``ImageConfiguration`` is. Its digest is the image's id.
    public var configuration: ContentDescriptor
    /// The layers, the lowest first.
    public var layers: [ContentDescriptor]
    /// What it is, where it is no image.
    public var artifactType: String?
    /// The manifest that this one is about, such as a signature's image.
    public var subject: ContentDescriptor?
    /// Notes on the image.
    public var annotations: StringMap

    /// A manifest.
    public init(
        mediaType: String = MediaType.manifest, configuration: ContentDescriptor,
        layers: [ContentDescriptor], annotations: StringMap = [:]
    ) {
        self.mediaType = mediaType
        self.configuration = configuration
        self.layers = layers
        self.annotations = annotations
    }

    /// Reads a manifest.
    public init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        try requireSchemaVersion2(json)
        mediaType = try readMediaType(json, MediaType.manifest, MediaType.isManifest)
        try refuse("manifests", in: json)
        configuration = try ContentDescriptor(json["config"])
        let elements = try json["layers"].array()
        guard elements.count <= ImageManifest.layerLimit else {
            throw json["layers"].error(
                "\(elements.count) layers are more than \(ImageManifest.layerLimit)")
        }
        layers = []
        for element in elements { layers.append(try ContentDescriptor(element)) }
        artifactType = try json["artifactType"].optionalString()
        subject = try readSubject(json)
        annotations = try json["annotations"].stringMap()
    }

    /// The manifest as its specification writes it.
    public var json: JSON {
        .object(present: [
            ("schemaVersion", 2), ("mediaType", .string(mediaType)),
            ("artifactType", artifactType.map(JSON.string)),
            ("config", configuration.json), ("layers", .array(layers.map(\.json))),
            ("subject", subject?.json), ("annotations", annotations.json),
        ])
    }
}

// Shared with the index.

/// Version 1 had another shape altogether and is gone from the registries.
func requireSchemaVersion2(_ json: JSONReader) throws(SpecificationError) {
    let version = try json["schemaVersion"].integer()
    guard version == 2 else {
        throw json["schemaVersion"].error("version \(version) is not known; 2 is")
    }
}

/// The document's own word on what it is, which it may leave out.
func readMediaType(
    _ json: JSONReader, _ usual: String, _ isAllowed: (String) -> Bool
) throws(SpecificationError) -> String {
    let type = try json["mediaType"].optionalString() ?? usual
    guard isAllowed(type) else {
        throw json["mediaType"].error("another kind of document than was asked for")
    }
    return type
}

/// What could be read as a manifest and as an index shows two images to two readers.
///
/// See CVE-2021-41190.
func refuse(_ member: String, in json: JSONReader) throws(SpecificationError) {
    if json[member].present != nil {
        throw json[member].error("a manifest has layers and an index has manifests, none both")
    }
}

func readSubject(_ json: JSONReader) throws(SpecificationError) -> ContentDescriptor? {
    try json["subject"].present.map { json throws(SpecificationError) in
        try ContentDescriptor(json)
    }
}
