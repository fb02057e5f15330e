import Foundation
import Kernel
import OCISpec
import Testing

@testable import Registry

@Suite("Credentials") struct CredentialTests {
    @Test func `What is stored is found again, readable by its owner alone, beside the rest`()
        throws
    {
        let place = try Place()
        let path = place.path + "/docker/config.json"
        let files = CredentialFiles(path: path)
        let (user, password) = (randomWord(), randomWord() + ":ü" + randomWord())
        try files.store(.password(user: user, password: password), for: "docker.io")
        #expect(
            try files.credential(for: "docker.io") == .password(user: user, password: password))
        #expect(try files.credential(for: "quay.io") == nil)
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        // What Docker looks for, and what another program has put there.
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.contains("https://index.docker.io/v1/"))
        try text.replacing("{\n", with: "{\n \"detachKeys\": \"ctrl-x\",\n", maxReplacements: 1)
            .write(toFile: path, atomically: true, encoding: .utf8)
        #expect(try files.erase("docker.io"))
        #expect(try files.erase("docker.io") == false)
        #expect(try files.credential(for: "docker.io") == nil)
        #expect(try String(contentsOfFile: path, encoding: .utf8).contains("ctrl-x"))
    }

    @Test func `A repository's own entry goes before its registry's`() throws {
        let place = try Place()
        let path = place.path + "/auth.json"
        let both = ["quay.io": "YTpi", "quay.io/org": "Yzpk", "https://old.example": "ZTpm"]
        let entries = both.map { "\"\($0)\": {\"auth\": \"\($1)\"}" }.joined(separator: ",")
        try "{\"auths\": {\(entries)}}".write(toFile: path, atomically: true, encoding: .utf8)
        let files = CredentialFiles(path: path)
        #expect(
            try files.credential(for: "quay.io", repository: "org/x")
                == .password(user: "c", password: "d"))
        #expect(
            try files.credential(for: "quay.io", repository: "other/x")
                == .password(user: "a", password: "b"))
        #expect(
            try files.credential(for: "old.example") == .password(user: "e", password: "f"))
    }

    @Test(arguments: ["{", "[]x", "{\"auths\": {\"a.example\": {\"auth\": \"%%\"}}}", "\u{0}"])
    func `A file that makes no sense is named`(text: String) throws {
        let place = try Place()
        let path = place.path + "/config.json"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        let error = #expect(throws: KernelError.self) {
            try CredentialFiles(path: path).credential(for: "a.example")
        }
        #expect(error?.object == path)
    }

    @Test func `A helper keeps, gives and forgets`() throws {
        let place = try Place()
        let name = randomWord()
        let program = place.path + "/docker-credential-" + name
        try """
        #!/bin/sh
        case $1 in
        store) cat > '\(place.path)/secret' ;;
        get) read server; [ "$server" = r.example ] && [ -e '\(place.path)/secret' ] || {
            echo credentials not found in native keychain; exit 1; }
            cat '\(place.path)/secret' ;;
        erase) rm '\(place.path)/secret' ;;
        esac
        """.write(toFile: program, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o755], ofItemAtPath: program)
        let path = place.path + "/config.json"
        // By its path, since the tests share one PATH.
        try "{\"credHelpers\": {\"r.example\": \"\(name)\"}}"
            .write(toFile: path, atomically: true, encoding: .utf8)
        setenv("PATH", place.path + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? ""), 1)
        let files = CredentialFiles(path: path)
        #expect(try files.credential(for: "r.example") == nil)
        let credential = Credential.password(user: randomWord(), password: randomWord())
        try files.store(credential, for: "r.example")
        #expect(try files.credential(for: "r.example") == credential)
        #expect(try !String(contentsOfFile: path, encoding: .utf8).contains("auths"))
        #expect(try files.erase("r.example"))
        #expect(try files.credential(for: "r.example") == nil)
    }

    @Test func `A helper that is not there is named`() throws {
        let place = try Place()
        let path = place.path + "/config.json"
        try "{\"credsStore\": \"not-there\"}".write(toFile: path, atomically: true, encoding: .utf8)
        let error = #expect(throws: KernelError.self) {
            try CredentialFiles(path: path).credential(for: "r.example")
        }
        #expect(error?.object == "docker-credential-not-there")
        #expect(error?.errno == .noSuchFile)
    }

    @Test func `Base64 is read and written as everybody does`() {
        for count in 0..<20 {
            let bytes = randomBytes(count)
            #expect(Base64.encode(bytes) == Data(bytes).base64EncodedString())
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        }
    }
}

@Suite("Web addresses") struct WebAddressTests {
    @Test func `An address is taken apart and put together again`() throws {
        let address = try WebAddress("HTTPS://Registry.example:5000/v2/x?a=b#c")
        #expect(address.host == "registry.example")
        #expect(address.description == "https://registry.example:5000/v2/x?a=b")
        #expect(try address.resolving("/y").description == "https://registry.example:5000/y")
        #expect(try address.resolving("//z/y").description == "https://z/y")
        #expect(address.adding("d", "e/f").target == "/v2/x?a=b&d=e%2Ff")
        #expect(try WebAddress("http://[::1]:5000/").isLoopback)
        #expect(try WebAddress("http://127.0.0.1.evil.example/").isLoopback == false)
        #expect(try WebAddress("http://localhost.evil.example/").isLoopback == false)
    }

    @Test(arguments: [
        "", "x", "http://", "http://a@b/", "file:///x", "http://a\\b/", "http://a b/",
        "http://a:0/", "http://a:70000/", "http://a:x/", "http://ä/", "http://[::1/",
        "http://a/\u{7F}",
        "javascript://x/", "http:///x",
    ])
    func `What two programs could read in two ways is refused`(text: String) {
        #expect(throws: SpecificationError.self) { try WebAddress(text) }
    }

    @Test func `A challenge is read as it is meant`() {
        let header = #"Bearer realm="https://a/t,o\"k",service=s , Basic realm="x""#
        #expect(
            Challenge.parse(header) == [
                Challenge(
                    scheme: "bearer", parameters: ["realm": "https://a/t,o\"k", "service": "s"]),
                Challenge(scheme: "basic", parameters: ["realm": "x"]),
            ])
    }

    @Test func `No challenge, however odd, is more than read`() {
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 0..<60)).map { _ in
                Array("Bearer=\", \\realm\tx;\u{0}ü".utf8).randomElement()!
            }
            _ = Challenge.parse(String(decoding: bytes, as: UTF8.self))
        }
    }
}
