/// A list of manifests: of one image for several platforms, or of all the images in a layout.
///
/// See image-spec, image-index.md. Docker's manifest list has the same members.
public struct ImageIndex: Equatable, Sendable {
    /// Which of the two specifications it follows.
    public var mediaType: String
    /// The manifests, or further indexes.
    public var manifests: [ContentDescriptor]
    /// What it is, where it is no image.
    public var artifactType: String?
    /// The manifest that this index is about.
    public var subject: ContentDescriptor?
    /// Notes on the index.
    public var annotations: StringMap

    /// An index of `manifests`.
    public init(
        mediaType: String = MediaType.index, manifests: [ContentDescriptor] = [],
        annotations: StringMap = [:]
    ) {
        self.mediaType = mediaType
        self.manifests = manifests
        self.annotations = annotations
    }

    /// Reads an index.
    public init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        try requireSchemaVersion2(json)
        mediaType = try readMediaType(json, MediaType.index, MediaType.isIndex)
        try refuse("layers", in: json)
        try refuse("config", in: json)
        manifests = []
        for element in try json["manifests"].array() {
            manifests.append(try ContentDescriptor(element))
        }
        artifactType = try json["artifactType"].optionalString()
        subject = try readSubject(json)
        annotations = try json["annotations"].stringMap()
    }

    /// The index as its specification writes it.
    public var json: JSON {
        .object(present: [
            ("schemaVersion", 2), ("mediaType", .string(mediaType)),
            ("artifactType", artifactType.map(JSON.string)),
            ("manifests", .array(manifests.map(\.json))), ("subject", subject?.json),
            ("annotations", annotations.json),
        ])
    }
}
