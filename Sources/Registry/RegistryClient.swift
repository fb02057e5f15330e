import Glibc
import Kernel
import NIOHTTP1
import OCISpec

/// One registry, asked by the distribution protocol. See the distribution-spec, spec.md.
public final class RegistryClient: Sendable {
    /// What people call it: `docker.io`, `localhost:5000`.
    public let registry: String
    let transport: Transport
    let authorizer: Authorizer
    private let base: BaseAddress

    init(_ registry: String, _ transport: Transport) {
        self.registry = registry
        self.transport = transport
        authorizer = Authorizer(registry, transport)
        base = BaseAddress(registry, transport)
    }

    /// The address of a path below `/v2/`.
    func address(_ path: String) async throws(TransferFailure) -> WebAddress {
        var address = try await base.address()
        address.target = "/v2/" + path
        return address
    }

    /// Asks, with everything that makes a question come through: the login, redirects, and another
    /// try where something broke.
    func ask(
        _ method: HTTPMethod, _ path: String, headers: [(name: String, value: String)] = [],
        for scope: Scope
    ) async throws(TransferFailure) -> Answer {
        try await retrying(transport.settings) { () async throws(TransferFailure) in
            let address = try await self.address(path)
            let request = Request(method: method, address: address, headers: headers)
            let answer = try await self.send(request, for: scope)
            if let failure = transientFailure(answer) { throw failure }
            return answer
        }
    }

    /// Asks once, logged in, and follows redirects.
    func send(_ request: Request, for scope: Scope) async throws(TransferFailure) -> Answer {
        // Uploads may go to another host than the registry's: it hears nothing of who we are.
        let home = try await base.address().origin
        guard request.address.origin == home else { return try await follow(request, home, nil) }
        var header = await authorizer.header(for: scope)
        // Two refusals: a token that has run out, and a new one that does not help.
        for _ in 0..<2 {
            let answer = try await follow(request, home, header)
            guard answer.status == 401 else { return answer }
            let challenges = answer.headers["WWW-Authenticate"].flatMap(Challenge.parse)
            await answer.discard()
            header = try await authorizer.answer(
                challenges, from: answer.address, for: scope, rejected: header)
        }
        let answer = try await follow(request, home, header)
        guard answer.status != 401 else {
            throw await refusal(answer, "ask", request.address.shown)
        }
        return answer
    }

    // book: begin redirects
    /// Follows redirects. What says who we are goes to the registry alone, and what began
    /// encrypted stays so.
    private func follow(
        _ request: Request, _ home: String, _ authorization: String?
    ) async throws(TransferFailure) -> Answer {
        var request = request
        var seen: Set<String> = []
        while true {
            request.set(
                "Authorization", request.address.origin == home ? authorization : nil)
            let answer = try await transport.send(request)
            guard [301, 302, 303, 307, 308].contains(answer.status) else { return answer }
            let next = try target(of: answer)
            guard seen.insert(next.description).inserted, seen.count <= Limits.redirects else {
                throw refused(answer, .looping, "The registry sends us round in circles.")
            }
            await answer.discard()
            request.address = next
        }
    }
    // book: end redirects

    /// Where an answer sends us to.
    func target(of answer: Answer) throws(TransferFailure) -> WebAddress {
        guard let location = answer.header("Location") else {
            throw refused(answer, .protocolError, "The registry sends us elsewhere, and not where.")
        }
        let next: WebAddress
        do { next = try answer.address.resolving(location) } catch {
            throw refused(
                answer, .protocolError,
                "The registry sends us to no proper address: \(error.problem).")
        }
        guard next.scheme == .https || answer.address.scheme == .http else {
            throw refused(
                answer, .protocolError,
                "The registry sends us to \(next.origin), which is not encrypted.")
        }
        // A plain one may not point us at other people's services inside the network.
        guard next.scheme == .https || next.isLoopback || transport.settings.isInsecure else {
            throw refused(
                answer, .protocolError,
                "The registry sends us to \(next.origin), which is not encrypted.")
        }
        return next
    }

    private func refused(_ answer: Answer, _ errno: Errno, _ reason: String) -> TransferFailure {
        TransferFailure(KernelError("ask", answer.address.shown, errno, remedy: reason))
    }

    /// The error for an answer that is none of those that were hoped for.
    func refusal(
        _ answer: Answer, _ operation: String, _ object: String
    ) async -> TransferFailure {
        let words = await answer.complaint().map { " The registry says: \($0)." } ?? ""
        let error =
            switch answer.status {
            case 401, 403:
                KernelError(
                    operation, object, .accessDenied,
                    remedy: "Not allowed; `hull login \(registry)` tells it who you are.\(words)")
            case 404:
                KernelError(
                    operation, object, .noSuchFile,
                    remedy: "The registry does not have it, or not for you.\(words)")
            case 405, 415, 501:
                KernelError(
                    operation, object, Errno(rawValue: EOPNOTSUPP),
                    remedy: "The registry does not allow that (status \(answer.status)).\(words)")
            case 413:
                KernelError(
                    operation, object, .tooLarge, remedy: "Too large for the registry.\(words)")
            default:
                KernelError(
                    operation, object, .protocolError,
                    remedy: "The registry answers with status \(answer.status).\(words)")
            }
        return TransferFailure(error)
    }
}

/// Where a registry is, and whether it speaks TLS.
///
/// TLS comes first, always. Where it is not spoken, plain HTTP is tried on this machine's own
/// addresses, and elsewhere only if that was allowed.
private actor BaseAddress {
    private let registry: String
    private let transport: Transport
    private var found: WebAddress?

    init(_ registry: String, _ transport: Transport) {
        self.registry = registry
        self.transport = transport
    }

    func address() async throws(TransferFailure) -> WebAddress {
        if let found { return found }
        let address = try await probe()
        found = address
        return address
    }

    private func probe() async throws(TransferFailure) -> WebAddress {
        // Docker Hub's name is not where it is.
        let host = registry == "docker.io" ? "registry-1.docker.io" : registry
        if host.hasPrefix("http://") || host.hasPrefix("https://") {
            do { return try allowed(WebAddress(host)) } catch { throw wrongName(error) }
        }
        let secure: WebAddress
        do { secure = try WebAddress("https://" + host) } catch { throw wrongName(error) }
        let settings = transport.settings
        let mayBePlain =
            (secure.isLoopback || settings.isInsecure)
            && !Certificates.areProvided(for: secure, settings)
        guard mayBePlain else { return secure }
        var plain = secure
        plain.scheme = .http
        // Without a port each scheme has its own.
        if !host.dropFirst(secure.host.count).hasPrefix(":") { plain.port = 80 }
        var ping = Request(address: secure)
        ping.address.target = "/v2/"
        do {
            let request = ping
            let answer = try await transport.send(request)
            await answer.discard()
            return secure
        } catch  where error.kind == .notTLS || error.error.errno == .connectionReset {
            return plain
        } catch  where plain.port != secure.port {
            return plain
        } catch  where error.error.errno == Errno(rawValue: ECONNREFUSED) {
            // Nothing listened there before we came: that is more than a moment's trouble.
            throw TransferFailure(error.error)
        }
    }

    /// A mirror may be given with its scheme.
    private func allowed(_ address: WebAddress) throws(SpecificationError) -> WebAddress {
        guard address.scheme == .https || address.isLoopback || transport.settings.isInsecure else {
            throw SpecificationError(
                address.origin, "plain HTTP is for this machine; --insecure allows it elsewhere")
        }
        return address
    }

    private func wrongName(_ error: SpecificationError) -> TransferFailure {
        TransferFailure(
            KernelError(
                "registry", registry, .invalidArgument, remedy: "\(error.problem)."))
    }
}
