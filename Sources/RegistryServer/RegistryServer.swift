import Glibc
import HummingbirdCore
import HummingbirdTLS
import Kernel
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import OCISpec
import ServiceLifecycle

/// A registry: the distribution protocol over HTTP, on a store of directories.
///
/// See distribution-spec, spec.md.
public struct RegistryServer: Sendable {
    private let options: RegistryOptions
    private let handler: RegistryHandler

    /// Opens the store and checks the options; nothing is listened to yet.
    public init(_ options: RegistryOptions) throws(KernelError) {
        try options.check()
        self.options = options
        let store = try RegistryStore(root: options.root, limit: options.maximumStore)
        handler = RegistryHandler(
            store: store, uploads: Uploads(in: store), indexes: RepositoryIndexes(in: store),
            authentication: try Authentication(options), options: options,
            log: AccessLog(to: options.accessLog))
        try handler.indexes.noteStaleOnes()
        try handler.uploads.expire(after: options.uploadExpiry)
    }

    /// Serves until SIGTERM or SIGINT; then finishes what is under way, for a while.
    /// - Parameter onListening: told the address with its port.
    public func run(onListening: @escaping @Sendable (String) -> Void) throws(KernelError) {
        do {
            // The main thread has nothing else to do but wait for the others.
            try MultiThreadedEventLoopGroup.singleton.any()
                .makeFutureWithTask { try await serve(onListening) }.wait()
        } catch let error as KernelError {
            throw error
        } catch let error as IOError {
            throw KernelError(
                "listen", "\(options.host):\(options.port)", Errno(rawValue: error.errnoCode))
        } catch {
            throw KernelError(
                "serve", "\(options.host):\(options.port)", .inputOutput, remedy: "\(error).")
        }
    }

    private func serve(_ onListening: @escaping @Sendable (String) -> Void) async throws {
        let server = try builder().buildServer(
            configuration: .init(
                address: .hostname(options.host, port: options.port), serverName: nil),
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger,
            responder: { [handler] request, writer, channel in
                try await handler.handle(request, writer, channel)
            },
            onServerRunning: { channel in
                if let address = channel.localAddress, let host = address.ipAddress {
                    onListening("\(host.contains(":") ? "[\(host)]" : host):\(address.port ?? 0)")
                }
            })
        var configuration = ServiceGroupConfiguration(
            services: [server, Housekeeping(handler: handler)],
            gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(options.stopSeconds)
        try await ServiceGroup(configuration: configuration).run()
        try handler.indexes.write()
    }

    private var logger: Logger {
        var logger = Logger(label: "hull-registry")
        logger.logLevel = .critical
        return logger
    }

    private func builder() throws -> HTTPServerBuilder {
        let options = options
        let http = HTTPServerBuilder.http1(
            configuration: .init(
                additionalChannelHandlers: [
                    SlowClientHandler(period: options.patience, minimum: 1024)
                ],
                idleTimeout: options.patience,
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 64 << 10,
                    maxHeaderFieldCount: 100)))
        guard let certificate = options.certificate, let key = options.key else { return http }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map {
                .certificate($0)
            },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        return try .tls(http, tlsConfiguration: configuration)
    }
}

/// What is done beside the requests: writing the indexes, forgetting uploads.
private struct Housekeeping: Service {
    let handler: RegistryHandler

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var seconds = 0
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(1))
                seconds += 1
                do {
                    try await offload { try handler.indexes.write() }
                    if seconds % 60 == 0 {
                        let expiry = handler.options.uploadExpiry
                        try await offload { try handler.uploads.expire(after: expiry) }
                    }
                } catch { handler.log.note(error) }
            }
        }
    }
}

extension Authentication {
    fileprivate init(_ options: RegistryOptions) throws(KernelError) {
        passwords = try options.passwordFile.map { path throws(KernelError) in
            try PasswordFile(path)
        }
        allowsAnonymousPull = options.allowsAnonymousPull
        if options.givesTokens {
            let issuer = TokenIssuer(name: options.tokenIssuer, service: options.tokenService)
            tokens = TokenService(
                service: options.tokenService, issuer: options.tokenIssuer,
                keys: [issuer.publicKey], own: issuer)
        } else if let realm = options.tokenRealm {
            var keys: [SigningKey] = []
            for path in options.tokenKeys {
                keys.append(try SigningKey(pem: try readText(path), named: path))
            }
            tokens = TokenService(
                realm: realm, service: options.tokenService, issuer: options.tokenIssuer,
                keys: keys)
        }
    }
}

/// Collects garbage in a registry's store that no server has open.
public func collectGarbage(
    root: String, untagged: Bool, rehearsal: Bool
) throws(KernelError) -> (blobs: Int, bytes: Int) {
    let store = try RegistryStore(root: root)
    let uploads = Uploads(in: store)
    if !rehearsal { try uploads.expire(after: 24 * 3600) }
    let collection = GarbageCollection(
        store: store, age: 0, takesUntagged: untagged, isRehearsal: rehearsal)
    let result = try collection.run()
    return (result.blobs, result.bytes)
}
