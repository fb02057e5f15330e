import HTTPTypes
import HummingbirdCore
import Kernel
import NIOCore
import OCISpec

/// Pushing blobs. See distribution-spec, "Pushing blobs".
extension RegistryHandler {
    /// `POST`: mounts a blob, takes a whole one, or starts an upload.
    func startUpload(
        _ name: RepositoryName, _ query: Query, _ body: IncomingBody, _ access: Access,
        _ writer: borrowing ResponseWriter
    ) async throws -> Answer {
        if let mount = query["mount"], let answer = try await mounted(mount, name, query, access) {
            return answer
        }
        let whole = try query["digest"].map { text throws(RegistryError) in try digest(text) }
        let algorithm = try whole?.algorithm ?? algorithm(query)
        let upload = try await offload {
            try store.repository(name).make()
            return try uploads.start(in: name, hashing: algorithm)
        }
        guard let whole, body.length != 0 || whole.isOfNothing else { return accepted(upload) }
        do {
            return try await finish(upload, whole, at: nil, body, writer)
        } catch {
            // Nobody was told its name.
            upload.discard()
            uploads.forget(upload)
            throw error
        }
    }

    private func mounted(
        _ mount: String, _ name: RepositoryName, _ query: Query, _ access: Access
    ) async throws -> Answer? {
        let digest = try digest(mount)
        if let from = query["from"] {
            // Whoever may not pull from there must not learn what is there.
            guard let source = RepositoryName(from), access.allows(.pull, in: source),
                store.repository(source).hasBlob(digest)
            else { return nil }
        } else if !access.allowsEverything {
            return nil
        }
        let wasMounted = try await offload { try store.repository(name).adopt(digest) }
        return wasMounted ? created(name, digest) : nil
    }

    /// `PATCH`: the next chunk, or simply more bytes.
    func continueUpload(
        _ name: RepositoryName, _ id: UploadID, _ request: Request, _ body: IncomingBody,
        _ writer: borrowing ResponseWriter
    ) async throws -> Answer {
        let upload = try uploads.find(id, in: name)
        try upload.claim(at: try position(request, body))
        defer { upload.release() }
        try await body.invite(writer)
        try await receive(body, upload)
        return accepted(upload)
    }

    /// `PUT`: the last bytes, if any are left, and the digest of all.
    func finishUpload(
        _ name: RepositoryName, _ id: UploadID, _ query: Query, _ request: Request,
        _ body: IncomingBody, _ writer: borrowing ResponseWriter
    ) async throws -> Answer {
        guard let text = query["digest"] else {
            throw RegistryError(
                .badRequest, .digestInvalid, "The digest of the blob is missing: ?digest=sha256:…")
        }
        let digest = try digest(text)
        let upload = try uploads.find(id, in: name)
        return try await finish(upload, digest, at: try position(request, body), body, writer)
    }

    /// `GET`: how far it has come.
    func uploadStatus(_ name: RepositoryName, _ id: UploadID) throws -> Answer {
        var answer = accepted(try uploads.find(id, in: name))
        answer.status = .noContent
        answer.headers[.contentLength] = nil
        return answer
    }

    /// `DELETE`: never mind.
    func cancelUpload(_ name: RepositoryName, _ id: UploadID) throws -> Answer {
        let upload = try uploads.find(id, in: name)
        try upload.claim(at: nil)
        defer { upload.release() }
        upload.discard()
        uploads.forget(upload)
        return Answer(.noContent)
    }

    private func finish(
        _ upload: Upload, _ digest: Digest, at position: Int?, _ body: IncomingBody,
        _ writer: borrowing ResponseWriter
    ) async throws -> Answer {
        try upload.claim(at: position)
        defer { upload.release() }
        try await body.invite(writer)
        try await receive(body, upload)
        defer { if !upload.isUnderWay { uploads.forget(upload) } }
        try await offload { try upload.finish(as: digest) }
        return created(upload.name, digest)
    }

    /// Writes the body as it comes, a piece at a time: a client that is faster than the disk waits.
    private func receive(_ body: IncomingBody, _ upload: Upload) async throws {
        let limit = options.maximumBlob
        if upload.size + (body.length ?? 0) > limit { throw tooLarge(limit) }
        var pending = ByteBuffer()
        while let piece = try await next(body, &pending, upload) {
            if upload.size + pending.readableBytes + piece.readableBytes > limit {
                throw tooLarge(limit)
            }
            pending.writeImmutableBuffer(piece)
            if pending.readableBytes >= RegistryHandler.pieceSize {
                try await write(&pending, upload)
            }
        }
        try await write(&pending, upload)
    }

    /// The next piece. Where there will be none, what came before it is kept: the client can ask
    /// how far it came, and go on from there.
    private func next(
        _ body: IncomingBody, _ pending: inout ByteBuffer, _ upload: Upload
    ) async throws -> ByteBuffer? {
        do {
            return try await body.next()
        } catch {
            try await write(&pending, upload)
            throw error
        }
    }

    private func write(_ pending: inout ByteBuffer, _ upload: Upload) async throws {
        if pending.readableBytes == 0 { return }
        let bytes = pending
        try await offload { try upload.append(bytes) }
        pending.clear()
    }

    private func tooLarge(_ limit: Int) -> RegistryError {
        RegistryError(
            .contentTooLarge, .sizeInvalid, "A blob may have \(limit) bytes at most.")
    }

    /// Where the chunk says it belongs; nil where it says nothing.
    private func position(
        _ request: Request, _ body: IncomingBody
    ) throws(RegistryError) -> Int? {
        guard let text = request.headers[.contentRange] else { return nil }
        let ends = text.split(separator: "-", maxSplits: 1).map { Int($0) }
        guard ends.count == 2, let first = ends[0], let last = ends[1], first >= 0, last >= first,
            body.length.map({ $0 == last - first + 1 }) ?? true
        else {
            throw RegistryError(
                .badRequest, .sizeInvalid,
                "Content-Range: '\(text)' is not FIRST-LAST of Content-Length bytes.")
        }
        return first
    }

    private func algorithm(_ query: Query) throws(RegistryError) -> Digest.Algorithm {
        guard let name = query["digest-algorithm"] else { return .sha256 }
        guard let algorithm = Digest.Algorithm.allCases.first(where: { $0.name == name }) else {
            throw RegistryError(
                .badRequest, .digestInvalid, "The algorithms are sha256 and sha512, not '\(name)'.")
        }
        return algorithm
    }

    func digest(_ text: String) throws(RegistryError) -> Digest {
        do { return try Digest(text) } catch {
            throw RegistryError(.badRequest, .digestInvalid, "No digest: \(error.problem).")
        }
    }

    private func accepted(_ upload: Upload) -> Answer {
        Answer(
            .accepted,
            [
                .location: "/v2/\(upload.name)/blobs/uploads/\(upload.id)",
                .range: Upload.range(upload.size), .uploadID: "\(upload.id)",
            ])
    }

    private func created(_ name: RepositoryName, _ digest: Digest) -> Answer {
        Answer(
            .created,
            [.location: "/v2/\(name)/blobs/\(digest)", .contentDigest: digest.description])
    }
}

extension Digest {
    /// Whether it is that of no bytes, which a client may push without a body.
    fileprivate var isOfNothing: Bool {
        hex.hasPrefix(algorithm == .sha256 ? "e3b0c44298fc1c14" : "cf83e1357eefb8bd")
    }
}
