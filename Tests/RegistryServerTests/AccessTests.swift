import Foundation
import Kernel
import OCISpec
import Testing

@testable import RegistryServer

/// Who may come in.
@Suite struct AccessTests {
    private func passwordFile(_ scratch: Scratch, _ user: String, _ password: String) throws
        -> String
    {
        try shell("htpasswd -cbB -C 4 '\(scratch / "users")' '\(user)' '\(password)' 2>&1")
        return scratch / "users"
    }

    private func basic(_ user: String, _ password: String) -> [String: String] {
        ["Authorization": "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()]
    }

    @Test func `a password of htpasswd's lets in who has it`() throws {
        let scratch = try Scratch()
        let word = randomName()
        let registry = try RegistryProcess(
            "--htpasswd", try passwordFile(scratch, "alice", word))
        let stranger = try registry.send("GET", "/v2/")
        #expect(stranger.status == 401 && stranger.code == "UNAUTHORIZED")
        #expect(stranger["WWW-Authenticate"]?.hasPrefix("Basic realm=") == true)
        for _ in 0..<2 {
            #expect(try registry.send("GET", "/v2/", basic("alice", word)).status == 200)
        }
        for wrong in [
            basic("alice", word + "x"), basic("bob", word), basic("alice", ""), basic("", ""),
            basic("alice", word + "\0"), ["Authorization": "Basic"], ["Authorization": "Basic !!"],
            ["Authorization": "Bearer x"],
            ["Authorization": "Basic " + String(repeating: "A", count: 9000)],
        ] {
            #expect(try registry.send("GET", "/v2/", wrong).status == 401, "\(wrong)")
        }
    }

    @Test func `a password file of weaker hashes is refused`() throws {
        let scratch = try Scratch()
        for line in ["alice:$apr1$x$y", "alice:{SHA}x=", "alice:plain", "alice", ":"] {
            let path = try scratch.write("users", line + "\n")
            #expect(throws: KernelError.self) { try PasswordFile(path) }
        }
    }

    @Test func `a token is given for a password and opens one repository`() throws {
        let scratch = try Scratch()
        let word = randomName()
        let registry = try RegistryProcess(
            "--htpasswd", try passwordFile(scratch, "alice", word), "--token", "--anonymous-pull")
        let challenge = try registry.send("POST", "/v2/a/blobs/uploads/")["WWW-Authenticate"]
        #expect(challenge?.contains(#"scope="repository:a:pull,push""#) == true)
        func token(_ scope: String, _ headers: [String: String]) throws -> [String: String] {
            let reply = try registry.send(
                "GET", "/token?service=hull-registry&scope=\(scope)", headers)
            return ["Authorization": "Bearer \(try JSONReader(reply.json)["token"].string())"]
        }
        let own = try token("repository:a:pull,push", basic("alice", word))
        let blob = randomBytes(10)
        let path = "blobs/uploads/?digest=\(sha256(blob))"
        #expect(try registry.send("POST", "/v2/a/\(path)", own, blob).status == 201)
        #expect(try registry.send("POST", "/v2/b/\(path)", own, blob).status == 401)
        // Mounting is reading, too: what is in `a` is no business of who may only write to `b`.
        let other = try token("repository:b:push", basic("alice", word))
        let mount = try registry.send(
            "POST", "/v2/b/blobs/uploads/?mount=\(sha256(blob))&from=a", other)
        #expect(mount.status == 202)
        let anybody = try token("repository:a:pull,push", [:])
        #expect(try registry.send("GET", "/v2/a/blobs/\(sha256(blob))", anybody).status == 200)
        #expect(try registry.send("POST", "/v2/a/\(path)", anybody, blob).status == 401)
        #expect(try registry.send("DELETE", "/v2/a/blobs/\(sha256(blob))", own).status == 401)
        let wrong = try registry.send("GET", "/token?scope=x", basic("alice", "x"))
        #expect(wrong.status == 401)
    }

    @Test(arguments: [
        ["--listen", "0.0.0.0:0"], ["--listen", "0.0.0.0:0", "--htpasswd", "/dev/null"],
        ["--tls-cert", "x"], ["--token"], ["--anonymous-pull"], ["--token-realm", "http://x"],
        ["--listen", "x"], ["--max-blob", "much"], ["--patience", "0"], ["--nonsense"], ["word"],
        ["--htpasswd", "/nowhere"],
    ])
    func `options that make no sense, or are dangerous, are refused in one line`(
        options: [String]
    ) throws {
        let scratch = try Scratch()
        let words = options.map { "'\($0)'" }.joined(separator: " ")
        let text = try shell(
            "'\(products)/hull-registry' --root '\(scratch / "store")' \(words) 2>&1 && exit 9; "
                + "echo \"code $?\"")
        let lines = text.split(separator: "\n")
        #expect(lines.count == 2 && lines[1] == "code 125", "\(text)")
        #expect(lines[0].hasPrefix("hull-registry: "))
    }
}
