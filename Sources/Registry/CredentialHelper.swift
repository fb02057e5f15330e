import CLinux
import Glibc
import Kernel
import OCISpec

/// A program `docker-credential-NAME`, which keeps passwords where they cannot be read as files.
///
/// It takes a verb as its argument, the registry on standard input, and answers with JSON.
/// See https://github.com/docker/docker-credential-helpers.
struct CredentialHelper: Sendable {
    let program: String
    private let name: String
    /// Time for somebody to type the key ring's password.
    private static let patience: CInt = 120_000
    private static let limit = 1 << 20

    init(_ name: String) {
        self.name = name
        program = "docker-credential-" + name
    }

    func credential(for server: String) throws(KernelError) -> Credential? {
        let answer = try run("get", server)
        if answer.code != 0 {
            if answer.isNotFound { return nil }
            throw failure("get", answer)
        }
        let json: JSON
        do { json = try JSON.parse(answer.output, from: program) } catch {
            throw KernelError("run", program, .badMessage, remedy: "\(error).")
        }
        guard case .string(let user)? = json["Username"], case .string(let secret)? = json["Secret"]
        else {
            throw KernelError(
                "run", program, .badMessage, remedy: "It answered without a name and a secret.")
        }
        if user == "<token>" { return .identityToken(secret) }
        return secret.isEmpty ? nil : .password(user: user, password: secret)
    }

    func store(_ credential: Credential, for server: String) throws(KernelError) {
        let (user, secret) =
            switch credential {
            case .password(let user, let password): (user, password)
            case .identityToken(let token), .registryToken(let token): ("<token>", token)
            }
        let json: JSON = [
            "ServerURL": .string(server), "Username": .string(user), "Secret": .string(secret),
        ]
        let answer = try run("store", json.text())
        if answer.code != 0 { throw failure("store", answer) }
    }

    func erase(_ server: String) throws(KernelError) -> Bool {
        let answer = try run("erase", server)
        if answer.code != 0 && !answer.isNotFound { throw failure("erase", answer) }
        return answer.code == 0
    }

    private func failure(_ verb: String, _ answer: Answer) -> KernelError {
        let line = answer.text.split(separator: "\n").first.map(String.init)
        return KernelError(
            "run", "\(program) \(verb)", .inputOutput,
            remedy: line.map { "It says: \($0.prefix(200))" } ?? "Its exit code is \(answer.code).")
    }

    private struct Answer {
        let code: Int32
        let output: [UInt8]
        var text: String { String(decoding: output, as: UTF8.self) }
        var isNotFound: Bool { text.contains("credentials not found") }
    }

    /// This process may have threads, so it is `posix_spawn(3)` that starts the program. The
    /// helper gets the whole environment: it has to find the user's session.
    private func run(_ verb: String, _ input: String) throws(KernelError) -> Answer {
        guard !name.contains("/") else {
            throw KernelError(
                "run", program, .invalidArgument, remedy: "A helper's name has no slash.")
        }
        let feed = try makePipe()
        let answer = try makePipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, feed.reading.number, 0)
        posix_spawn_file_actions_adddup2(&actions, answer.writing.number, 1)
        var words: [UnsafeMutablePointer<CChar>?] = [strdup(program), strdup(verb), nil]
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        let code = posix_spawnp(&child, program, &actions, nil, &words, environ)
        guard code == 0 else {
            throw KernelError(
                "run", program, Errno(rawValue: code),
                remedy: "The file of credentials names it; install it, or take the line out.")
        }
        _ = consume feed.reading
        _ = consume answer.writing
        // Less than a pipe holds; a helper that does not read it is no error.
        try? feed.writing.write(input)
        _ = consume feed.writing
        let output = readAnswer(answer.reading, of: child)
        var status: CInt = 0
        while waitpid(child, &status, 0) < 0 && errno == EINTR {}
        let exitCode = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F
        return Answer(code: exitCode, output: output)
    }

    /// Everything it says; it is ended where it says too much, or nothing for too long.
    private func readAnswer(_ pipe: borrowing Descriptor, of child: pid_t) -> [UInt8] {
        var output: [UInt8] = []
        while true {
            var request = pollfd(fd: pipe.number, events: Int16(POLLIN), revents: 0)
            let ready = poll(&request, 1, Self.patience)
            if ready < 0 && errno == EINTR { continue }
            guard ready > 0, output.count < Self.limit, let some = try? pipe.read(upTo: 1 << 16)
            else {
                kill(child, SIGKILL)
                return output
            }
            if some.isEmpty { return output }
            output += some
        }
    }

    private struct PipeEnds: ~Copyable {
        let reading: Descriptor
        let writing: Descriptor
    }

    private func makePipe() throws(KernelError) -> PipeEnds {
        var ends: [CInt] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw KernelError("pipe2", "a pipe", .current) }
        return PipeEnds(
            reading: Descriptor(owning: ends[0]), writing: Descriptor(owning: ends[1]))
    }
}
