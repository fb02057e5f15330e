import AsyncHTTPClient
import Glibc
import Kernel
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// What is asked of a registry.
struct Request: Sendable {
    var method: HTTPMethod = .GET
    var address: WebAddress
    var headers: [(name: String, value: String)] = []
    var body: Body = .none

    enum Body: Sendable {
        case none
        case bytes([UInt8])
        case file(FileSlice)
    }

    mutating func set(_ name: String, _ value: String?) {
        headers.removeAll { $0.name == name }
        if let value { headers.append((name, value)) }
    }
}

/// One exchange by HTTP: no redirect is followed, nothing is tried twice.
///
/// AsyncHTTPClient does the work, with back-pressure in both directions: a body is never in memory
/// as a whole. One thread of NIO's serves all connections.
final class Transport: Sendable {
    let settings: TransferSettings
    private let client: HTTPClient
    /// Never shut down: that a name is looked up can't be stopped, and the answer comes to a thread
    /// of this.
    private static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    init(_ settings: TransferSettings) {
        self.settings = settings
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: .init(
                connect: .seconds(settings.connectTimeout), read: .seconds(settings.silenceTimeout),
                write: .seconds(settings.silenceTimeout)))
        // HTTP/2 would give each layer a window of 64 KiB; a connection each is faster.
        configuration.httpVersion = .http1Only
        // A failed connection is ours to try again, with a pause.
        configuration.connectionPool.retryConnectionEstablishment = false
        client = HTTPClient(
            eventLoopGroupProvider: .shared(Self.group), configuration: configuration)
    }

    /// To be called at the end: connections stay open for the next request.
    func close() async { try? await client.shutdown() }

    func send(_ request: Request) async throws(TransferFailure) -> Answer {
        var own = HTTPClientRequest(url: request.address.description)
        own.method = request.method
        for (name, value) in request.headers { own.headers.add(name: name, value: value) }
        own.headers.replaceOrAdd(name: "User-Agent", value: "hull")
        switch request.body {
        case .none: break
        case .bytes(let bytes): own.body = .bytes(ByteBuffer(bytes: bytes))
        case .file(let slice): own.body = .stream(slice, length: .known(Int64(slice.count)))
        }
        if request.address.scheme == .https {
            do {
                own.tlsConfiguration = try Certificates.configuration(
                    for: request.address, settings)
            } catch { throw TransferFailure(error) }
        }
        do {
            let response = try await client.execute(own, deadline: .distantFuture)
            return try Answer(response, to: request, settings)
        } catch {
            throw TransferFailure(error, asking: request.address)
        }
    }
}

extension TimeAmount {
    fileprivate static func seconds(_ seconds: Double) -> TimeAmount {
        .nanoseconds(Int64(seconds * 1e9))
    }
}

/// Part of an open file as the body of a request; read piece by piece as the other end takes it.
struct FileSlice: AsyncSequence, Sendable {
    let file: OpenFile
    let start: Int
    let count: Int
    /// Hears how many bytes have been read.
    let progress: @Sendable (Int) -> Void

    static let pieceSize = 256 << 10

    func makeAsyncIterator() -> Iterator { Iterator(slice: self, done: 0) }

    struct Iterator: AsyncIteratorProtocol {
        let slice: FileSlice
        var done: Int

        mutating func next() async throws -> ByteBuffer? {
            let wanted = Swift.min(slice.count - done, FileSlice.pieceSize)
            guard wanted > 0 else { return nil }
            var buffer = ByteBufferAllocator().buffer(capacity: wanted)
            let offset = slice.start + done
            let number = slice.file.number
            let got = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: wanted) { bytes in
                Swift.max(pread(number, bytes.baseAddress, wanted, off_t(offset)), 0)
            }
            guard got > 0 else {
                throw TransferFailure(
                    KernelError(
                        "read", slice.file.name, .inputOutput,
                        remedy: "It is shorter than its descriptor says."))
            }
            done += got
            slice.progress(got)
            return buffer
        }
    }
}

/// A file that several read at once, each at its own place; closed when the last has gone.
final class OpenFile: Sendable {
    let number: CInt
    let name: String

    init(_ file: consuming Descriptor, named name: String) {
        number = file.release()
        self.name = name
    }

    deinit { _ = Glibc.close(number) }
}
