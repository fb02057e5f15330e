import HTTPTypes
import HummingbirdCore
import NIOCore

/// The body of a request, taken piece by piece: the client sends no faster than it is taken.
final class IncomingBody {
    private var iterator: RequestBody.AsyncIterator
    private let announced: Int?
    private var received = 0
    private var isAtEnd = false
    /// Whether the client waits for a word before it sends.
    private(set) var isHeldBack: Bool

    init(_ request: Request) {
        iterator = request.body.makeAsyncIterator()
        announced = request.headers[.contentLength].flatMap { Int($0) }
        isHeldBack = request.headers[.expect]?.lowercased() == "100-continue"
    }

    /// How many bytes the client says there are.
    var length: Int? { announced }

    /// Lets a client begin that asked first. See RFC 9110, "Expect".
    func invite(_ writer: borrowing ResponseWriter) async throws {
        guard isHeldBack else { return }
        isHeldBack = false
        try await writer.writeInformationalHead(HTTPResponse(status: .continue))
    }

    /// The next piece; nil at the end.
    /// - Throws: where the connection ended before the body did.
    func next() async throws -> ByteBuffer? {
        guard let piece = try await iterator.next() else {
            isAtEnd = true
            if let announced, received < announced { throw ConnectionLost() }
            return nil
        }
        received += piece.readableBytes
        return piece
    }

    /// All of it.
    /// - Throws: 413 where it is longer than `limit`.
    func all(limit: Int, _ tooLong: RegistryError) async throws -> [UInt8] {
        if let announced, announced > limit { throw tooLong }
        var bytes: [UInt8] = []
        while let piece = try await next() {
            guard bytes.count + piece.readableBytes <= limit else { throw tooLong }
            bytes += piece.readableBytesView
        }
        return bytes
    }

    /// Says that nobody can tell where it ends.
    func abandon() { isHeldBack = true }

    /// Reads what the client still sends after it has its answer: closing in its face would
    /// reset the connection, and the answer could be lost.
    /// - Returns: false where there is too much; the connection has to be closed.
    func drain() async throws -> Bool {
        if isAtEnd { return true }
        if isHeldBack { return false }
        let limit = received + (1 << 20)
        while try await next() != nil {
            if received > limit { return false }
        }
        return true
    }
}

/// The client went away in the middle.
struct ConnectionLost: Error {}
