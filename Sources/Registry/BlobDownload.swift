import Images
import Kernel
import NIOCore
import NIOHTTP1
import OCISpec

/// Brings one blob from a registry into the store.
///
/// Its bytes go into a file under `ingest/` that bears its digest. What breaks off is gone on
/// with: by this command, after a pause, or by the next one after this was killed.
struct BlobDownload: Sendable {
    let client: RegistryClient
    let repository: String
    let descriptor: ContentDescriptor
    let store: ContentStore
    let observer: TransferObserver

    private var digest: Digest { descriptor.digest }
    private var settings: TransferSettings { client.transport.settings }

    /// Downloads; `growth` lets others read what is here already.
    func run(_ growth: GrowingFile) async throws(TransferFailure) {
        observer(.blob(descriptor, .waiting))
        guard let writer = try await claim() else {
            observer(.blob(descriptor, .present))
            return growth.finish()
        }
        let wasBegun = writer.size > 0
        do {
            // What an earlier command left may be wrong, and nobody is to read that: until its
            // digest is known, this one does not grow.
            try await fill(writer, wasBegun ? nil : growth)
            try commit(writer)
        } catch  where wasBegun && error.error.errno == .badMessage {
            observer(.blob(descriptor, .retrying))
            writer.discard()
            guard let writer = try await claim() else { return growth.finish() }
            try await fill(writer, growth)
            try commit(writer)
        }
        growth.finish()
    }

    /// The unfinished file, locked for us; nil where the blob is here.
    ///
    /// Another process may be at it. Then this one waits: it is the same blob.
    private func claim() async throws(TransferFailure) -> BlobWriter? {
        while !store.has(digest) {
            do {
                if let writer = try store.resumeBlob(digest) {
                    guard !store.has(digest) else {
                        writer.discard()
                        return nil
                    }
                    return writer
                }
                try await Task.sleep(for: .milliseconds(100))
            } catch let error as KernelError {
                throw TransferFailure(error)
            } catch {
                throw TransferFailure(KernelError("pull", "\(digest)", .interrupted, remedy: ""))
            }
        }
        return nil
    }

    /// Until the file is as long as it is to be. Pauses grow as long as nothing comes.
    private func fill(
        _ writer: BlobWriter, _ growth: GrowingFile?
    ) async throws(TransferFailure) {
        do { if writer.size > descriptor.size { try writer.restart() } } catch {
            throw TransferFailure(error)
        }
        growth?.grow(to: writer.size, at: writer.path)
        var attempt = 0
        while writer.size < descriptor.size {
            let start = writer.size
            do {
                try await fetch(into: writer, growth)
            } catch  where error.isTransient {
                if writer.size > start { attempt = 0 }
                guard attempt < settings.retries, case .transient(let after) = error.kind else {
                    throw error
                }
                observer(.blob(descriptor, .retrying))
                try await pause(before: attempt, settings, atLeast: after)
                attempt += 1
            }
        }
    }

    // book: begin resume
    /// Asks for what is missing, and takes what comes.
    private func fetch(
        into writer: BlobWriter, _ growth: GrowingFile?
    ) async throws(TransferFailure) {
        let start = writer.size
        var request = Request(
            address: try await client.address("\(repository)/blobs/\(digest)"))
        // Bytes of something packed on the way would not be bytes of the blob.
        request.set("Accept-Encoding", "identity")
        if start > 0 { request.set("Range", "bytes=\(start)-") }
        let answer = try await client.send(request, for: .pull(repository))
        if let failure = transientFailure(answer) { throw failure }
        switch answer.status {
        case 200: try await append(answer, skipping: start, to: writer, growth)
        case 206:
            guard answer.header("Content-Range")?.hasPrefix("bytes \(start)-") ?? false else {
                throw lie("The registry sends another part of it than was asked for.")
            }
            try await append(answer, skipping: 0, to: writer, growth)
        case 416 where start > 0:
            throw lie("The registry has less of it than came before.")
        default:
            throw await client.refusal(answer, "pull", "blob \(digest)")
        }
    }
    // book: end resume

    /// Writes a body to the file. Never more of it than the manifest says there is.
    ///
    /// - Parameter skipped: how many bytes are here already, where the registry knows no ranges.
    private func append(
        _ answer: Answer, skipping skipped: Int, to writer: BlobWriter, _ growth: GrowingFile?
    ) async throws(TransferFailure) {
        let wanted = descriptor.size - writer.size + skipped
        if let length = answer.contentLength, length != wanted {
            throw lie("The registry announces \(length) bytes instead of \(wanted).")
        }
        var skip = skipped
        var reader = answer.pieces()
        while var piece = try await reader.next() {
            let passed = min(skip, piece.readableBytes)
            piece.moveReaderIndex(forwardBy: passed)
            skip -= passed
            guard writer.size + piece.readableBytes <= descriptor.size else {
                throw lie("More than its \(descriptor.size) bytes come.")
            }
            try write(piece, to: writer)
            growth?.grow(to: writer.size, at: writer.path)
            observer(.blob(descriptor, .downloading(writer.size)))
        }
        guard writer.size == descriptor.size else {
            throw TransferFailure(
                KernelError(
                    "pull", "blob \(digest)", .connectionReset,
                    remedy: "It ended after \(writer.size) of \(descriptor.size) bytes."),
                .transient(after: nil))
        }
    }

    private func write(_ piece: ByteBuffer, to writer: BlobWriter) throws(TransferFailure) {
        do {
            try piece.withUnsafeReadableBytes { try writer.write($0) }
        } catch {
            throw TransferFailure(error, asking: WebAddress(.https, host: client.registry))
        }
    }

    private func commit(_ writer: BlobWriter) throws(TransferFailure) {
        do { try writer.commit(expecting: digest, size: descriptor.size) } catch {
            throw TransferFailure(error)
        }
    }

    private func lie(_ problem: String) -> TransferFailure {
        TransferFailure(KernelError("pull", "blob \(digest)", .badMessage, remedy: problem))
    }
}
