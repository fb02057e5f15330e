import HTTPTypes
import HummingbirdCore
import Kernel
import NIOCore
import OCISpec

/// Pulling and deleting blobs. See distribution-spec, "Pulling blobs", "Deleting Blobs".
extension RegistryHandler {
    func getBlob(
        _ name: RepositoryName, _ digest: Digest, _ request: Request
    ) throws -> Answer {
        guard let blob = try OpenBlob(store.repository(name).blobPath(digest)) else {
            throw RegistryError.blobUnknown(digest)
        }
        var headers: HTTPFields = [
            .contentType: "application/octet-stream", .contentDigest: digest.description,
            .acceptRanges: "bytes", .eTag: "\"\(digest)\"",
            // A digest never means anything else.
            .cacheControl: "max-age=31536000, immutable",
        ]
        if request.names(digest, in: .ifNoneMatch) { return Answer(.notModified, headers) }
        guard let range = request.headers[.range].flatMap({ ByteRange($0) }) else {
            return file(.ok, headers, blob, 0..<blob.size)
        }
        guard let part = range.resolve(size: blob.size) else {
            headers[.contentRange] = "bytes */\(blob.size)"
            return Answer(.rangeNotSatisfiable, headers)
        }
        headers[.contentRange] = "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(blob.size)"
        return file(.partialContent, headers, blob, part)
    }

    private func file(
        _ status: HTTPResponse.Status, _ headers: HTTPFields, _ blob: OpenBlob, _ range: Range<Int>
    ) -> Answer {
        var answer = Answer(status, headers, length: range.count)
        if !range.isEmpty { answer.body = .file(blob, range) }
        return answer
    }

    func deleteBlob(_ name: RepositoryName, _ digest: Digest) async throws -> Answer {
        let repository = store.repository(name)
        let wasThere = try await offload {
            try store.changing(name) { () throws(KernelError) -> Bool in
                // A manifest goes by its own way, which takes its tags along.
                if try repository.manifest(digest) != nil { return false }
                return try repository.removeBlob(digest)
            }
        }
        if !wasThere { throw RegistryError.blobUnknown(digest) }
        return Answer(.accepted)
    }
}

/// A `Range` header that asks for one part. See RFC 9110, "Range".
struct ByteRange: Equatable {
    private let first: Int?
    private let last: Int?

    /// Nil for anything else, several parts among it: such a header may be ignored.
    init?(_ text: String) {
        guard text.hasPrefix("bytes=") else { return nil }
        let ends = text.dropFirst(6).split(
            separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let areNumbers = ends.allSatisfy { end in
            end.utf8.count <= 18
                && end.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        }
        guard ends.count == 2, areNumbers, ends != ["", ""] else { return nil }
        first = Int(ends[0])
        last = Int(ends[1])
    }

    /// Which bytes these are of so many; nil where there are none.
    func resolve(size: Int) -> Range<Int>? {
        guard let first else {
            guard let count = last, count > 0, size > 0 else { return nil }
            return max(size - count, 0)..<size
        }
        guard first < size else { return nil }
        guard let last else { return first..<size }
        return last < first ? nil : first..<(min(last, size - 1) + 1)
    }
}

extension Request {
    /// Whether a conditional header names this content, or any (`*`).
    func names(_ digest: Digest, in header: HTTPField.Name) -> Bool {
        guard let value = headers[header] else { return false }
        return value.split(separator: ",").contains { item in
            let tag = item.filter { $0 != " " && $0 != "\"" }
            return tag == "*" || tag == digest.description || tag == "W/" + digest.description
        }
    }
}
