import HTTPTypes
import OCISpec

/// A manifest as it was pushed: what it is, and what it points at.
///
/// Nothing is kept of it but the bytes as they came. It is read to find what it needs, so that
/// nobody can pull half an image.
struct PushedManifest {
    let mediaType: String
    /// Blobs that the repository must have.
    private(set) var blobs: [Digest] = []
    /// Manifests that the repository must have.
    private(set) var manifests: [Digest] = []
    /// The manifest that this one says something about. It need not be there.
    private(set) var subject: Digest?
    /// What it is to the subject.
    private(set) var artifactType: String?
    private(set) var annotations: JSON?

    /// Reads a manifest that was pushed as `contentType`.
    init(_ bytes: [UInt8], contentType: String?) throws(RegistryError) {
        do throws(SpecificationError) {
            let json = try JSONReader(try JSON.parse(bytes, from: "the manifest")).object()
            let declared = try json["mediaType"].optionalString()
            mediaType = try PushedManifest.agreed(declared, contentType, json)
            try read(json)
        } catch {
            throw error.asManifestError
        }
    }

    private static func agreed(
        _ declared: String?, _ contentType: String?, _ json: JSONReader
    ) throws(SpecificationError) -> String {
        let pushed = contentType.map { String($0.prefix { $0 != ";" && $0 != " " }) }
        if let declared, let pushed, declared != pushed {
            throw json["mediaType"].error("'\(declared)', but it was pushed as '\(pushed)'")
        }
        guard let type = declared ?? pushed else {
            throw json["mediaType"].error("missing, and there is no Content-Type either")
        }
        return type
    }

    private mutating func read(_ json: JSONReader) throws(SpecificationError) {
        switch mediaType {
        case MediaType.manifest, "application/vnd.docker.distribution.manifest.v2+json":
            try readImage(json)
        case MediaType.index, "application/vnd.docker.distribution.manifest.list.v2+json":
            try readIndex(json)
        case "application/vnd.oci.artifact.manifest.v1+json":
            try readBlobs(json["blobs"])
        default:
            throw json["mediaType"].error("'\(mediaType)' is no manifest that this registry knows")
        }
        artifactType =
            try json["artifactType"].optionalString().flatMap { $0.isEmpty ? nil : $0 }
            ?? artifactType
        subject = try json["subject"].present.map { json throws(SpecificationError) in
            try ContentDescriptor(json).digest
        }
        annotations = try json["annotations"].stringMap().json
    }

    private mutating func readImage(_ json: JSONReader) throws(SpecificationError) {
        let configuration = try ContentDescriptor(json["config"])
        blobs = [configuration.digest]
        artifactType = configuration.mediaType
        _ = try json["layers"].array()
        try readBlobs(json["layers"])
    }

    private mutating func readIndex(_ json: JSONReader) throws(SpecificationError) {
        for element in try json["manifests"].array() {
            manifests.append(try ContentDescriptor(element).digest)
        }
    }

    private mutating func readBlobs(_ json: JSONReader) throws(SpecificationError) {
        for element in try json.present?.array() ?? [] {
            let blob = try ContentDescriptor(element)
            // Layers that may only be had from their maker are nowhere else.
            let isElsewhere =
                element["urls"].present != nil || blob.mediaType.contains("nondistributable")
                || blob.mediaType.contains("foreign")
            if !isElsewhere { blobs.append(blob.digest) }
        }
    }
}
