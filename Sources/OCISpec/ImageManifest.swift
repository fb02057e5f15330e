/// One image for one platform: a configuration and its layers, the lowest first.
///
/// See image-spec, manifest.md.
public struct ImageManifest: Equatable, Sendable {
    /// Where the ``ImageConfiguration`` is. Its digest is the image's id.
    public var configuration: ContentDescriptor
    /// The layers, the lowest first.
    public var layers: [ContentDescriptor]
    /// Notes on the image.
    public var annotations: StringMap

    /// A manifest.
    public init(
        configuration: ContentDescriptor, layers: [ContentDescriptor],
        annotations: StringMap = [:]
    ) {
        self.configuration = configuration
        self.layers = layers
        self.annotations = annotations
    }

    /// Reads a manifest.
    public init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        try requireSchemaVersion2(json)
        configuration = try ContentDescriptor(json["config"])
        layers = []
        for element in try json["layers"].array() { layers.append(try ContentDescriptor(element)) }
        annotations = try json["annotations"].stringMap()
    }

    /// The manifest as its specification writes it.
    public var json: JSON {
        .object(present: [
            ("schemaVersion", 2), ("mediaType", .string(MediaType.manifest)),
            ("config", configuration.json), ("layers", .array(layers.map(\.json))),
            ("annotations", annotations.json),
        ])
    }
}
