/// A list of manifests: of one image for several platforms, or of all the images in a layout.
///
/// See image-spec, image-index.md.
public struct ImageIndex: Equatable, Sendable {
    /// The manifests, or further indexes.
    public var manifests: [ContentDescriptor]
    /// Notes on the index.
    public var annotations: StringMap

    /// An index of `manifests`.
    public init(manifests: [ContentDescriptor] = [], annotations: StringMap = [:]) {
        self.manifests = manifests
        self.annotations = annotations
    }

    /// Reads an index.
    public init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        try requireSchemaVersion2(json)
        manifests = []
        for element in try json["manifests"].array() {
            manifests.append(try ContentDescriptor(element))
        }
        annotations = try json["annotations"].stringMap()
    }

    /// The index as its specification writes it.
    public var json: JSON {
        .object(present: [
            ("schemaVersion", 2), ("mediaType", .string(MediaType.index)),
            ("manifests", .array(manifests.map(\.json))), ("annotations", annotations.json),
        ])
    }
}

/// Version 1 had another shape altogether and is gone from the registries.
func requireSchemaVersion2(_ json: JSONReader) throws(SpecificationError) {
    let version = try json["schemaVersion"].integer()
    guard version == 2 else {
        throw json["schemaVersion"].error("version \(version) is not known; 2 is")
    }
}
