import HTTPTypes
import HummingbirdCore
import Kernel
import NIOCore
import OCISpec

/// Answers requests: finds out what a request is about, who sent it and whether they may, and
/// hands it to the function that does it.
struct RegistryHandler: Sendable {
    /// How much of a body is written at once.
    static let pieceSize = 1 << 18

    let store: RegistryStore
    let uploads: Uploads
    let indexes: RepositoryIndexes
    let authentication: Authentication
    let options: RegistryOptions
    let log: AccessLog

    /// Answers one request, and says so in the log.
    func handle(
        _ request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel
    ) async throws {
        let start = ContinuousClock.now
        let body = IncomingBody(request)
        var user: String?
        var answer: Answer
        do {
            answer = try await self.answer(request, body, &user, writer)
        } catch let error as RegistryError {
            answer = Answer(error)
        } catch let error as KernelError {
            log.note(error)
            answer = Answer(RegistryError(error))
        }
        answer.headers[.apiVersion] = "registry/2.0"
        answer.headers[.xContentTypeOptions] = "nosniff"
        if request.method == .head { answer = answer.withoutBody }
        try await send(answer, writer, channel)
        log.note(
            request, from: channel.remoteAddress?.ipAddress ?? "-", user: user, answer,
            took: .now - start)
        // Throwing closes the connection; there is no other way to say it.
        guard try await body.drain() else { throw ConnectionLost() }
    }

    private func answer(
        _ request: Request, _ body: IncomingBody, _ user: inout String?,
        _ writer: borrowing ResponseWriter
    ) async throws -> Answer {
        // Where this message would end is anybody's guess, and two would guess differently.
        if let coding = request.headers[.transferEncoding], coding.lowercased() != "chunked" {
            body.abandon()
            throw RegistryError(
                .notImplemented, .unsupported, "Transfer-Encoding: chunked or none.")
        }
        let target = request.head.path ?? "/"
        let halves = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let query = Query(halves.count > 1 ? halves[1] : "")
        let route = try Route(path: String(halves[0]))
        switch route {
        case .health: return Answer(.ok, json: ["status": "ok"])
        case .token: return try await authentication.answerTokenRequest(request, query)
        default: break
        }
        let need = try need(of: route, request.method)
        let access = try await authentication.access(
            request, for: need, isSecure: options.isSecure)
        user = access.user
        switch route {
        case .health, .token, .base: return Answer(.ok, json: .object([]))
        case .catalog: return try listRepositories(query)
        case .tags(let name): return try listTags(name, query)
        case .referrers(let name, let digest): return try listReferrers(name, digest, query)
        case .blob(let name, let digest):
            if request.method == .delete { return try await deleteBlob(name, digest) }
            return try getBlob(name, digest, request)
        case .manifest(let name, let reference):
            switch request.method {
            case .put:
                return try await putManifest(name, reference, query, request, body, writer)
            case .delete: return try await deleteManifest(name, reference)
            default: return try getManifest(name, reference, request)
            }
        case .uploads(let name):
            return try await startUpload(name, query, body, access, writer)
        case .upload(let name, let id):
            switch request.method {
            case .patch: return try await continueUpload(name, id, request, body, writer)
            case .put: return try await finishUpload(name, id, query, request, body, writer)
            case .delete: return try cancelUpload(name, id)
            default: return try uploadStatus(name, id)
            }
        }
    }

    /// What one has to be allowed for this.
    /// - Throws: 405 where it cannot be done at all, or not here.
    private func need(of route: Route, _ method: HTTPRequest.Method) throws(RegistryError) -> Need {
        let isReading = method == .get || method == .head
        switch (route, method) {
        case (.base, _) where isReading: return .entry
        case (.catalog, _) where isReading: return .catalog
        case (.tags(let name), _) where isReading, (.referrers(let name, _), _) where isReading,
            (.blob(let name, _), _) where isReading, (.manifest(let name, _), _) where isReading:
            return .repository(name, .pull)
        case (.blob(let name, _), .delete), (.manifest(let name, _), .delete):
            try requireWriting()
            if !options.allowsDeleting { throw notAllowed("This registry deletes nothing.") }
            return .repository(name, .delete)
        case (.manifest(let name, _), .put), (.uploads(let name), .post),
            (.upload(let name, _), .patch), (.upload(let name, _), .put),
            (.upload(let name, _), .delete), (.upload(let name, _), .get):
            try requireWriting()
            return .repository(name, .push)
        default: throw notAllowed("That cannot be done here.")
        }
    }

    private func requireWriting() throws(RegistryError) {
        if options.isReadOnly { throw notAllowed("This registry is read-only.") }
    }

    private func notAllowed(_ message: String) -> RegistryError {
        RegistryError(.methodNotAllowed, .unsupported, message)
    }

    private func send(
        _ answer: Answer, _ writer: consuming ResponseWriter, _ channel: any Channel
    ) async throws {
        let head = HTTPResponse(status: answer.status, headerFields: answer.headers)
        switch answer.body {
        case .none: try await writer.writeResponse(head)
        case .bytes(let bytes):
            try await writer.write(response: head, body: ResponseBody(byteBuffer: bytes))
        case .file(let blob, let range):
            var writer = try await writer.writeHead(head)
            if options.isSecure {
                try await FileSending.copy(blob, range, to: &writer)
            } else {
                try await FileSending.send(
                    blob, range, to: channel, within: options.patience)
            }
            try await writer.finish(nil)
        }
    }
}
