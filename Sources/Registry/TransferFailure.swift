import AsyncHTTPClient
import Glibc
import Kernel
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Why an exchange with a registry came to nothing, and whether it is worth another try.
struct TransferFailure: Error {
    /// What the user is told if it stays so.
    var error: KernelError
    /// What to do next.
    var kind: Kind

    enum Kind: Equatable {
        /// The same would happen again.
        case final
        /// A moment later it may work; the registry may have said after how many seconds.
        case transient(after: Double?)
        /// The other end does not speak TLS.
        case notTLS
    }

    init(_ error: KernelError, _ kind: Kind = .final) {
        self.error = error
        self.kind = kind
    }

    var isTransient: Bool { if case .transient = kind { true } else { false } }
}

extension TransferFailure {
    /// What AsyncHTTPClient, NIO or BoringSSL threw while `address` was asked.
    init(_ error: any Error, asking address: WebAddress) {
        let place = address.origin
        switch error {
        case let error as TransferFailure: self = error
        case let error as KernelError: self.init(error)
        case is CancellationError:
            self.init(KernelError("ask", place, .interrupted, remedy: ""))
        case let error as HTTPClientError: self = Self.http(error, address)
        case let error as NIOConnectionError: self = Self.connection(error, address)
        case let error as NIOSSLError: self = Self.tls(error, address)
        case is NIOSSLExtraError:
            self.init(
                KernelError(
                    "connect to", place, .accessDenied,
                    remedy: "Its certificate is made out to another name."))
        case HTTPParserError.invalidEOFState: self = Self.http(.remoteConnectionClosed, address)
        case let error as IOError where error.errnoCode == ECONNREFUSED:
            self.init(
                KernelError(
                    "connect to", place, Errno(rawValue: ECONNREFUSED),
                    remedy: "Nothing listens there; is the registry running?"),
                .transient(after: nil))
        case let error as IOError:
            self.init(
                KernelError(
                    "ask", place, Errno(rawValue: error.errnoCode),
                    remedy: "The connection broke off."), .transient(after: nil))
        default: self = Self.unknown(error, address)
        }
    }

    private static func http(_ error: HTTPClientError, _ address: WebAddress) -> Self {
        let place = address.origin
        switch error {
        case .connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout:
            return TransferFailure(
                KernelError(
                    "connect to", place, .timedOut, remedy: "Nobody answers there; is it reachable?"
                ),
                .transient(after: nil))
        case .readTimeout, .deadlineExceeded:
            return TransferFailure(
                KernelError(
                    "ask", address.shown, .timedOut,
                    remedy: "The registry fell silent; --timeout SECONDS waits longer."),
                .transient(after: nil))
        case .writeTimeout:
            return TransferFailure(
                KernelError(
                    "send to", address.shown, .timedOut,
                    remedy: "The registry takes nothing more; --timeout SECONDS waits longer."),
                .transient(after: nil))
        case .remoteConnectionClosed, .uncleanShutdown:
            return TransferFailure(
                KernelError(
                    "ask", address.shown, .connectionReset, remedy: "The connection broke off."),
                .transient(after: nil))
        case .cancelled:
            return TransferFailure(KernelError("ask", place, .interrupted, remedy: ""))
        default: return unknown(error, address)
        }
    }

    /// A connection to a host with several addresses fails once for each; the first is told.
    private static func connection(_ error: NIOConnectionError, _ address: WebAddress) -> Self {
        let place = address.origin
        if error.dnsAError != nil || error.dnsAAAAError != nil, error.connectionErrors.isEmpty {
            return TransferFailure(
                KernelError(
                    "look up", address.host, .noSuchHost,
                    remedy: "No such host is known; is the name right, and is there a network?"))
        }
        switch error.connectionErrors.first?.error {
        case let io as IOError:
            let isRefused = io.errnoCode == ECONNREFUSED
            return TransferFailure(
                KernelError(
                    "connect to", place, Errno(rawValue: io.errnoCode),
                    remedy: isRefused ? "Nothing listens there; is the registry running?" : ""),
                .transient(after: nil))
        default:
            return TransferFailure(
                KernelError(
                    "connect to", place, .timedOut, remedy: "Nobody answers there; is it reachable?"
                ),
                .transient(after: nil))
        }
    }

    private static func tls(_ error: NIOSSLError, _ address: WebAddress) -> Self {
        let text = "\(error)"
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return TransferFailure(
                KernelError(
                    "connect to", address.origin, .accessDenied,
                    remedy: "Nobody whom this machine trusts has signed its certificate; put the"
                        + " CA's into /etc/docker/certs.d/\(address.authority)/ca.crt."))
        }
        if text.contains("CERTIFICATE_REQUIRED") || text.contains("BAD_CERTIFICATE") {
            return TransferFailure(
                KernelError(
                    "connect to", address.origin, .accessDenied,
                    remedy: "It wants a client certificate: client.cert and client.key in"
                        + " /etc/docker/certs.d/\(address.authority)/."))
        }
        switch error {
        case .uncleanShutdown:
            return TransferFailure(
                KernelError(
                    "ask", address.shown, .connectionReset, remedy: "The connection broke off."),
                .transient(after: nil))
        default:
            return TransferFailure(
                KernelError(
                    "connect to", address.origin, .protocolError,
                    remedy: "It does not speak TLS; --insecure allows plain HTTP."), .notTLS)
        }
    }

    private static func unknown(_ error: any Error, _ address: WebAddress) -> Self {
        TransferFailure(
            KernelError(
                "ask", address.shown, .protocolError,
                remedy: "What came back is not HTTP (\(String("\(error)".prefix(80))))."),
            address.scheme == .https && "\(error)".contains("TLS") ? .notTLS : .final)
    }
}

extension Errno {
    static let timedOut = Errno(rawValue: ETIMEDOUT)
    static let connectionReset = Errno(rawValue: ECONNRESET)
    static let protocolError = Errno(rawValue: EPROTO)
    static let noSuchHost = Errno(rawValue: EHOSTUNREACH)
    static let tooLarge = Errno(rawValue: EFBIG)
    static let badMessage = Errno(rawValue: EBADMSG)
    static let looping = Errno(rawValue: ELOOP)
}

extension WebAddress {
    /// Host and port as the name of a directory of certificates has them.
    var authority: String { port == scheme.port ? host : "\(host):\(port)" }
}
