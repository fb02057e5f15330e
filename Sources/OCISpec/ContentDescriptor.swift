/// Points at a blob and says all that is needed to check it. See image-spec, descriptor.md.
public struct ContentDescriptor: Equatable, Sendable {
    /// What the blob is.
    public var mediaType: String
    /// Its hash, which is its name.
    public var digest: Digest
    /// Its length in bytes.
    public var size: Int
    /// Notes on it, such as the tag in an index.
    public var annotations: StringMap
    /// For which machine it is, in an index.
    public var platform: Platform?
    /// What it is beyond its media type, where it is no image.
    public var artifactType: String?

    /// A descriptor of a blob.
    public init(
        mediaType: String, digest: Digest, size: Int, annotations: StringMap = [:],
        platform: Platform? = nil
    ) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
        self.annotations = annotations
        self.platform = platform
    }

    /// Reads a descriptor.
    public init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        mediaType = try json["mediaType"].optionalString() ?? ""
        digest = try json["digest"].digest()
        size = try json["size"].integer()
        guard size >= 0 else { throw json["size"].error("a size is not negative") }
        guard size <= ContentDescriptor.sizeLimit else {
            throw json["size"].error("\(size) bytes are more than any disk has")
        }
        annotations = try json["annotations"].stringMap()
        platform = try json["platform"].present.map { json throws(SpecificationError) in
            try Platform(json)
        }
        artifactType = try json["artifactType"].optionalString()
    }

    /// A pebibyte: the sizes of all the layers that a manifest may have can be added up.
    static let sizeLimit = 1 << 50

    /// The descriptor as its specification writes it.
    public var json: JSON {
        .object(present: [
            ("mediaType", .string(mediaType)), ("digest", .string(digest.description)),
            ("size", .integer(size)), ("annotations", annotations.json),
            ("platform", platform?.json), ("artifactType", artifactType.map(JSON.string)),
        ])
    }
}
