import Glibc
import HTTPTypes
import Kernel
import NIOCore
import OCISpec

/// What goes back to the client.
struct Answer: Sendable {
    enum Body: Sendable {
        case none
        case bytes(ByteBuffer)
        /// Part of a file, which is never in memory as a whole.
        case file(OpenBlob, Range<Int>)
    }

    var status: HTTPResponse.Status
    var headers: HTTPFields
    var body: Body

    /// An answer without a body. A `length` says how long one would be.
    init(_ status: HTTPResponse.Status, _ headers: HTTPFields = [:], length: Int? = nil) {
        self.status = status
        self.headers = headers
        body = .none
        if status != .noContent && status != .notModified {
            self.headers[.contentLength] = String(length ?? 0)
        }
    }

    /// An answer with bytes that are in memory.
    init(_ status: HTTPResponse.Status, _ headers: HTTPFields, bytes: ByteBuffer) {
        self.init(status, headers, length: bytes.readableBytes)
        body = .bytes(bytes)
    }

    /// An answer in JSON.
    init(
        _ status: HTTPResponse.Status, json: JSON, type: String = "application/json",
        _ headers: HTTPFields = [:]
    ) {
        var headers = headers
        headers[.contentType] = type
        self.init(status, headers, bytes: ByteBuffer(string: json.text() + "\n"))
    }

    /// The answer to something that went wrong.
    init(_ error: RegistryError) {
        self.init(error.status, json: error.json, error.headers)
    }

    /// The same without its body, for `HEAD`.
    var withoutBody: Answer {
        var answer = self
        answer.body = .none
        return answer
    }

    /// How many bytes the body has, for the log.
    var length: Int {
        switch body {
        case .none: 0
        case .bytes(let bytes): bytes.readableBytes
        case .file(_, let range): range.count
        }
    }
}

/// A blob's file, open for as long as somebody sends it: deleting the blob meanwhile takes
/// nothing from them.
final class OpenBlob: Sendable {
    let file: Descriptor
    let size: Int

    /// Nil where nothing is.
    init?(_ path: String) throws(KernelError) {
        do throws(KernelError) {
            file = try Descriptor.open(path, O_RDONLY | O_NOFOLLOW)
        } catch  where error.errno == .noSuchFile {
            return nil
        }
        size = FileStatus(file)?.size ?? 0
    }
}

extension HTTPField.Name {
    // The names are constants that the grammar allows.
    static let contentDigest = name("Docker-Content-Digest")
    static let apiVersion = name("Docker-Distribution-Api-Version")
    static let uploadID = name("Docker-Upload-UUID")
    static let ociSubject = name("OCI-Subject")
    static let ociTag = name("OCI-Tag")
    static let ociFilters = name("OCI-Filters-Applied")
    static let link = name("Link")

    private static func name(_ text: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(text) else { preconditionFailure("no field name: \(text)") }
        return name
    }
}
