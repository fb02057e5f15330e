import HTTPTypes
import Kernel
import OCISpec

/// An answer that is not what the client hoped for.
///
/// See distribution-spec, "Error Codes".
struct RegistryError: Error {
    /// The codes that clients know.
    enum Code: String {
        case blobUnknown = "BLOB_UNKNOWN"
        case blobUploadInvalid = "BLOB_UPLOAD_INVALID"
        case blobUploadUnknown = "BLOB_UPLOAD_UNKNOWN"
        case digestInvalid = "DIGEST_INVALID"
        case manifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
        case manifestInvalid = "MANIFEST_INVALID"
        case manifestUnknown = "MANIFEST_UNKNOWN"
        case nameInvalid = "NAME_INVALID"
        case nameUnknown = "NAME_UNKNOWN"
        case sizeInvalid = "SIZE_INVALID"
        case unauthorized = "UNAUTHORIZED"
        case denied = "DENIED"
        case unsupported = "UNSUPPORTED"
        case internalError = "UNKNOWN"
    }

    let status: HTTPResponse.Status
    let code: Code
    let message: String
    var headers = HTTPFields()

    init(_ status: HTTPResponse.Status, _ code: Code, _ message: String) {
        self.status = status
        self.code = code
        self.message = message
    }

    /// The body of the answer.
    var json: JSON {
        ["errors": [["code": .string(code.rawValue), "message": .string(message)]]]
    }
}

extension RegistryError {
    static func blobUnknown(_ digest: Digest) -> RegistryError {
        RegistryError(.notFound, .blobUnknown, "There is no blob \(digest) in this repository.")
    }

    static func manifestUnknown(_ reference: String) -> RegistryError {
        RegistryError(
            .notFound, .manifestUnknown, "There is no manifest \(reference) in this repository.")
    }

    static let uploadUnknown = RegistryError(
        .notFound, .blobUploadUnknown,
        "There is no such upload: it has ended, was cancelled, or has expired. Start a new one.")

    /// What the kernel refused: told in full to the log, in short to the client.
    init(_ error: KernelError) {
        switch error.errno {
        case .noSpace:
            self.init(
                HTTPResponse.Status(code: 507), .denied, "The registry's disk is full.")
        default:
            self.init(.internalServerError, .internalError, "The registry failed; see its log.")
        }
    }
}

extension SpecificationError {
    /// The answer to a manifest that is not one.
    var asManifestError: RegistryError {
        RegistryError(.badRequest, .manifestInvalid, "\(self).")
    }
}
