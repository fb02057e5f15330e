import AsyncHTTPClient
import Kernel
import NIOCore
import NIOHTTP1
import OCISpec

/// What a registry answered. The body comes as it is asked for.
struct Answer: Sendable {
    let status: Int
    let headers: HTTPHeaders
    let address: WebAddress
    private let body: HTTPClientResponse.Body
    private let settings: TransferSettings

    /// - Throws: where the body is packed: nobody asked for that, and what is hashed is what
    ///   travels. So there is no bomb to unpack either.
    init(
        _ response: HTTPClientResponse, to request: Request, _ settings: TransferSettings
    ) throws(TransferFailure) {
        status = Int(response.status.code)
        headers = response.headers
        address = request.address
        body = response.body
        self.settings = settings
        let encoding = headers.first(name: "Content-Encoding")?.lowercased() ?? "identity"
        guard encoding == "identity" || encoding.isEmpty || request.method == .HEAD else {
            throw TransferFailure(
                KernelError(
                    "ask", address.shown, .protocolError,
                    remedy: "The registry sends it packed (\(encoding.prefix(40))), unasked."))
        }
    }

    /// A header that is there once, or several times with the same value.
    func header(_ name: String) -> String? {
        let values = Set(headers[name])
        return values.count == 1 ? values.first : nil
    }

    /// How long the body is to be, where that is said.
    var contentLength: Int? {
        header("Content-Length").flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil }
    }

    /// The body in pieces.
    func pieces() -> BodyReader { BodyReader(body, address, settings.silenceTimeout) }

    /// All of a small body.
    /// - Throws: `EFBIG` where it is larger than `limit`, `ETIMEDOUT` where it drips.
    func bytes(limit: Int) async throws(TransferFailure) -> [UInt8] {
        if let length = contentLength, length > limit { throw tooLarge(limit) }
        let start = ContinuousClock.now
        var reader = pieces()
        var bytes: [UInt8] = []
        while let piece = try await reader.next() {
            bytes += piece.readableBytesView
            if bytes.count > limit { throw tooLarge(limit) }
            if start.duration(to: .now) > .seconds(settings.smallAnswerTimeout) {
                throw reader.stalled
            }
        }
        return bytes
    }

    private func tooLarge(_ limit: Int) -> TransferFailure {
        TransferFailure(
            KernelError(
                "read", address.shown, .tooLarge,
                remedy: "The answer is larger than \(ByteSize.text(limit))."))
    }

    /// Lets the connection be used again, where what is left is not worth a new one.
    func discard() async {
        guard contentLength ?? 0 <= 64 << 10 else { return }
        _ = try? await bytes(limit: 64 << 10)
    }

    /// What went wrong, in the registry's own words: the first error of the list that it sends.
    /// See the distribution-spec, "Error Codes".
    func complaint() async -> String? {
        guard let bytes = try? await bytes(limit: 64 << 10), let json = try? JSON.parse(bytes),
            case .array(let errors)? = json["errors"], let first = errors.first
        else { return nil }
        var words: [String] = []
        if case .string(let code)? = first["code"] { words.append(code) }
        if case .string(let message)? = first["message"], !message.isEmpty {
            words.append(words.isEmpty ? message : "(\(message))")
        }
        let line = words.joined(separator: " ").map { $0.isPlain ? $0 : "?" }
        return line.isEmpty ? nil : String(String(line).prefix(200))
    }
}

extension Character {
    fileprivate var isPlain: Bool {
        unicodeScalars.allSatisfy { $0.value >= 32 && !(127..<160).contains($0.value) }
    }
}

/// Reads a body, and gives up on one that drips: less than a kilobyte in the time in which a
/// registry may be silent. A timeout between two bytes alone would wait for ever.
struct BodyReader {
    private var iterator: HTTPClientResponse.Body.AsyncIterator
    private let address: WebAddress
    private let window: Duration
    private var windowStart = ContinuousClock.now
    private var windowBytes = 0

    fileprivate init(
        _ body: HTTPClientResponse.Body, _ address: WebAddress, _ silenceTimeout: Double
    ) {
        iterator = body.makeAsyncIterator()
        self.address = address
        window = .seconds(silenceTimeout)
    }

    /// The next piece; nil at the end.
    mutating func next() async throws(TransferFailure) -> ByteBuffer? {
        let piece: ByteBuffer?
        do { piece = try await iterator.next() } catch {
            throw TransferFailure(error, asking: address)
        }
        guard let piece else { return nil }
        windowBytes += piece.readableBytes
        if windowBytes >= 1024 {
            windowBytes = 0
            windowStart = .now
        } else if windowStart.duration(to: .now) > window {
            throw stalled
        }
        return piece
    }

    fileprivate var stalled: TransferFailure {
        TransferFailure(
            KernelError(
                "ask", address.shown, .timedOut,
                remedy: "The registry sends too slowly; --timeout SECONDS waits longer."),
            .transient(after: nil))
    }
}
