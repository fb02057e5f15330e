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
        annotations = try json["annotations"].stringMap()
        platform = try json["platform"].present.map { json throws(SpecificationError) in
            try Platform(json)
        }
    }

    /// The descriptor as its specification writes it.
    public var json: JSON {
        .object(present: [
            ("mediaType", .string(mediaType)), ("digest", .string(digest.description)),
            ("size", .integer(size)), ("annotations", annotations.json),
            ("platform", platform?.json),
        ])
    }
}

/// For which machine an image is, in the words of the Go language.
public struct Platform: Equatable, Sendable {
    /// The processor, such as `amd64`.
    public var architecture: String
    /// The system, such as `linux`.
    public var os: String
    /// The processor's version, such as `v8`.
    public var variant: String?

    /// A platform.
    public init(architecture: String, os: String, variant: String? = nil) {
        self.architecture = architecture
        self.os = os
        self.variant = variant
    }

    /// Reads a platform.
    public init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        architecture = try json["architecture"].string()
        os = try json["os"].string()
        variant = try json["variant"].optionalString()
    }

    /// The platform as its specification writes it.
    public var json: JSON {
        .object(present: [
            ("architecture", .string(architecture)), ("os", .string(os)),
            ("variant", variant.map(JSON.string)),
        ])
    }

    #if arch(x86_64)
        /// The platform of this program.
        public static let host = Platform(architecture: "amd64", os: "linux")
    #elseif arch(arm64)
        /// The platform of this program.
        public static let host = Platform(architecture: "arm64", os: "linux")
    #elseif arch(riscv64)
        /// The platform of this program.
        public static let host = Platform(architecture: "riscv64", os: "linux")
    #endif

    /// Whether what is made for `self` runs on `other`. Variants are not looked at.
    public func matches(_ other: Platform) -> Bool {
        architecture == other.architecture && os == other.os
    }
}
