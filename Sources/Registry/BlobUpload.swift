import Images
import Kernel
import NIOHTTP1
import OCISpec

/// Brings one blob from the store to a registry.
///
///     HEAD blob ── is there ─▶ done
///        │ is not
///     POST uploads/?mount=…&from=…   where another repository there has it
///        │ 201 ─▶ done
///        │ 202, Location
///     PATCH Location   all of it, or piece by piece
///     PUT Location?digest=…
///
/// See the distribution-spec, "Pushing Blobs".
struct BlobUpload: Sendable {
    let client: RegistryClient
    let repository: String
    let descriptor: ContentDescriptor
    let store: ContentStore
    /// A repository of the same registry that ought to have the blob.
    let other: String?
    let observer: TransferObserver

    /// Smaller ones go in one request; larger ones can be gone on with where they broke off.
    static let monolithicLimit = 1 << 20

    private var digest: Digest { descriptor.digest }
    private var settings: TransferSettings { client.transport.settings }
    private var scope: Scope { .push(repository, from: other) }

    func run() async throws(TransferFailure) {
        observer(.blob(descriptor, .waiting))
        if try await isThere() { return observer(.blob(descriptor, .present)) }
        let file = try kernel { () throws(KernelError) in
            OpenFile(try store.open(digest), named: "blob \(digest)")
        }
        guard store.size(of: digest) == descriptor.size else {
            throw TransferFailure(
                KernelError(
                    "push", "blob \(digest)", .badMessage,
                    remedy: "What is in the store has another size; pull or import it again."))
        }
        guard var session = try await begin(mountingFrom: other) else {
            return observer(.blob(descriptor, .mounted))
        }
        var attempt = 0
        while true {
            let start = session.offset
            do {
                try await send(file, &session)
                return observer(.blob(descriptor, .done))
            } catch  where error.isTransient {
                if session.offset > start { attempt = 0 }
                guard attempt < settings.retries, case .transient(let after) = error.kind else {
                    throw error
                }
                observer(.blob(descriptor, .retrying))
                try await pause(before: attempt, settings, atLeast: after)
                attempt += 1
                session = try await recover(session)
            }
        }
    }

    private func isThere() async throws(TransferFailure) -> Bool {
        let answer = try await client.ask(.HEAD, "\(repository)/blobs/\(digest)", for: scope)
        switch answer.status {
        case 200: return answer.contentLength ?? descriptor.size == descriptor.size
        case 404: return false
        default: throw await client.refusal(answer, "push", "\(client.registry)/\(repository)")
        }
    }

    // book: begin upload-session
    /// An upload that the registry has opened, and how far it is.
    private struct Session {
        var location: WebAddress
        var offset = 0
        /// The least that the registry takes in a piece that is not the last.
        var leastPiece = 0
    }

    /// Opens an upload; nil where the registry has taken the blob from the other repository.
    private func begin(mountingFrom other: String?) async throws(TransferFailure) -> Session? {
        var path = "\(repository)/blobs/uploads/"
        if let other {
            path += "?mount=\(percentEncoded("\(digest)"))&from=\(percentEncoded(other))"
        }
        let answer = try await client.ask(
            .POST, path, headers: [("Content-Length", "0")], for: scope)
        if answer.status == 201 && other != nil { return nil }
        guard answer.status == 202 else {
            throw await client.refusal(answer, "push", "\(client.registry)/\(repository)")
        }
        let least = answer.header("OCI-Chunk-Min-Length").flatMap { Int($0) } ?? 0
        let location = try client.target(of: answer)
        await answer.discard()
        return Session(location: location, leastPiece: max(0, least))
    }

    /// Sends what the registry does not have yet, and closes the upload.
    private func send(_ file: OpenFile, _ session: inout Session) async throws(TransferFailure) {
        let isWhole = session.offset == 0 && settings.chunkSize == nil
        if isWhole && descriptor.size <= Self.monolithicLimit {
            return try await close(session, with: slice(file, from: 0, count: descriptor.size))
        }
        let piece = settings.chunkSize.map { max($0, session.leastPiece, 1) } ?? descriptor.size
        while session.offset < descriptor.size {
            let count = min(piece, descriptor.size - session.offset)
            try await sendPiece(slice(file, from: session.offset, count: count), &session)
        }
        try await close(session, with: nil)
    }
    // book: end upload-session

    private func sendPiece(_ slice: FileSlice, _ session: inout Session)
        async throws(TransferFailure)
    {
        var request = Request(method: .PATCH, address: session.location, body: .file(slice))
        request.set("Content-Type", "application/octet-stream")
        request.set("Content-Range", "\(slice.start)-\(slice.start + slice.count - 1)")
        let answer = try await client.send(request, for: scope)
        if let failure = transientFailure(answer) { throw failure }
        guard answer.status == 202 || answer.status == 204 else {
            throw await client.refusal(answer, "push", "blob \(digest)")
        }
        session.location = try client.target(of: answer)
        session.offset = slice.start + slice.count
        await answer.discard()
    }

    private func close(_ session: Session, with slice: FileSlice?) async throws(TransferFailure) {
        var request = Request(
            method: .PUT, address: session.location.adding("digest", "\(digest)"))
        if let slice, slice.count > 0 {
            request.body = .file(slice)
            request.set("Content-Type", "application/octet-stream")
        } else {
            request.set("Content-Length", "0")
        }
        let answer = try await client.send(request, for: scope)
        if let failure = transientFailure(answer) { throw failure }
        guard answer.status == 201 || answer.status == 204 else {
            throw await client.refusal(answer, "push", "blob \(digest)")
        }
        await answer.discard()
    }

    /// How far the registry got before it broke off. One that does not know begins anew.
    private func recover(_ session: Session) async throws(TransferFailure) -> Session {
        let answer = try? await client.send(Request(address: session.location), for: scope)
        if let answer, answer.status == 204 || answer.status == 202,
            let location = try? client.target(of: answer),
            let last = answer.header("Range")?.split(separator: "-").last.flatMap({ Int($0) }),
            last < descriptor.size
        {
            // "0-0" is how a registry says that it has nothing, or one byte. See api.md.
            let offset = last == 0 ? 0 : last + 1
            if offset > 0 {
                return Session(
                    location: location, offset: offset, leastPiece: session.leastPiece)
            }
        }
        guard let session = try await begin(mountingFrom: nil) else {
            throw TransferFailure(KernelError("push", "blob \(digest)", .protocolError))
        }
        return session
    }

    private func slice(_ file: OpenFile, from start: Int, count: Int) -> FileSlice {
        // Chunks of the observer's that say where it is, whoever asks how often.
        let progress = Position(start)
        return FileSlice(file: file, start: start, count: count) { got in
            observer(.blob(descriptor, .uploading(progress.advance(by: got))))
        }
    }
}
