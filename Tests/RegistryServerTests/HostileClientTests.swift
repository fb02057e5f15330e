import Foundation
import Kernel
import OCISpec
import Testing

/// Clients that want something else than to push and pull.
@Suite struct HostileClientTests {
    @Test(arguments: [
        "/v2/../../etc/passwd", "/v2/..%2f..%2fetc/manifests/x", "/v2/a/manifests/..%2f..%2fx",
        "/v2/a/blobs/sha256:..%2f..%2f..%2fetc%2fpasswd", "/v2/a/blobs/uploads/..%2f..%2flock",
        "/v2/%2fetc/tags/list", "/v2/a%00b/tags/list", "/v2/a/blobs/uploads/%2e%2e",
    ])
    func `no path leads out of the store`(path: String) throws {
        let registry = try RegistryProcess()
        let before = try files(registry.root)
        for method in ["GET", "PUT", "PATCH", "DELETE", "POST"] {
            let reply = try registry.send(method, path, [:], Array("x".utf8))
            #expect((400..<500).contains(reply.status), "\(method) → \(reply.status)")
        }
        #expect(try files(registry.root) == before)
    }

    @Test func `a mount from a path is no mount`() throws {
        let registry = try RegistryProcess()
        let digest = try registry.push(blob: randomBytes(10), to: "a")
        for from in ["..%2frepositories%2fa", "a%2f..%2fa", "A"] {
            let reply = try registry.send(
                "POST", "/v2/b/blobs/uploads/?mount=\(digest)&from=\(from)")
            #expect(reply.status == 202)
        }
        let reply = try registry.send("POST", "/v2/b/blobs/uploads/?mount=..%2f..%2fx")
        #expect(reply.status == 400)
    }

    @Test func `content that is not what its digest says is not kept`() throws {
        let registry = try RegistryProcess()
        let wrong = sha256(randomBytes(9))
        let whole = try registry.send(
            "POST", "/v2/a/blobs/uploads/?digest=\(wrong)", [:], randomBytes(5000))
        #expect(whole.status == 400 && whole.code == "DIGEST_INVALID")
        let location = try #require(try registry.send("POST", "/v2/a/blobs/uploads/")["Location"])
        let put = try registry.send("PUT", location + "?digest=\(wrong)", [:], randomBytes(5000))
        #expect(put.status == 400 && put.code == "DIGEST_INVALID")
        let manifest = try registry.send(
            "PUT", "/v2/a/manifests/\(wrong)", ["Content-Type": imageType],
            Array(#"{"schemaVersion":2}"#.utf8))
        #expect(manifest.status == 400 && manifest.code == "DIGEST_INVALID")
        #expect(try registry.send("GET", "/v2/a/blobs/\(wrong)").status == 404)
        #expect(try files(registry.root + "/blobs").isEmpty)
        #expect(try files(registry.root + "/uploads").isEmpty)
    }

    @Test func `a manifest whose blobs are missing is not taken`() throws {
        let registry = try RegistryProcess()
        let config = try registry.push(blob: Array("{}".utf8), to: "a")
        let elsewhere = try registry.push(blob: randomBytes(1000), to: "b")
        for layer in [sha256(randomBytes(5)), elsewhere] {
            let reply = try registry.send(
                "PUT", "/v2/a/manifests/t", ["Content-Type": imageType],
                Array(manifest(config: config, layer: layer).utf8))
            #expect(reply.status == 400 && reply.code == "MANIFEST_BLOB_UNKNOWN")
        }
        let index = """
            {"schemaVersion":2,"manifests":[{"mediaType":"\(imageType)","size":1,\
            "digest":"\(sha256(randomBytes(5)))"}]}
            """
        let reply = try registry.send(
            "PUT", "/v2/a/manifests/t",
            ["Content-Type": "application/vnd.oci.image.index.v1+json"], Array(index.utf8))
        #expect(reply.code == "MANIFEST_BLOB_UNKNOWN")
        #expect(try registry.send("GET", "/v2/a/manifests/t").status == 404)
    }

    @Test(arguments: [
        "", "x", "[]", "{}", "null", #"{"schemaVersion":2}"#, #"{"schemaVersion":2,"config":1}"#,
        #"{"schemaVersion":2,"config":{},"layers":[]}"#, "\u{FEFF}{}", #"{"a":1,"a":2}"#,
        #"{"mediaType":"text/plain"}"#, String(repeating: "[", count: 100_000),
        #"{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:../x","size":1},"layers":[]}"#,
        #"{"schemaVersion":2,"config":{"mediaType":"x","digest":5,"size":-1},"layers":{}}"#,
    ])
    func `what is no manifest is not taken for one`(text: String) throws {
        let registry = try RegistryProcess()
        let reply = try registry.send(
            "PUT", "/v2/a/manifests/t", ["Content-Type": imageType], Array(text.utf8))
        #expect(reply.status == 400 && reply.code == "MANIFEST_INVALID", "\(reply.text)")
    }

    @Test func `a manifest has 4 MiB at most, a blob what it may have`() throws {
        let registry = try RegistryProcess("--max-blob", "10k", "--max-store", "25k")
        let big = [UInt8](repeating: 32, count: 4 << 20) + [32]
        let announced = try registry.send(
            "PUT", "/v2/a/manifests/t", ["Content-Type": imageType], big)
        #expect(announced.status == 413)
        let blob = randomBytes(10 << 10 + 1)
        let tooBig = try registry.send(
            "POST", "/v2/a/blobs/uploads/?digest=\(sha256(blob))", [:], randomBytes(10241))
        #expect(tooBig.status == 413 && tooBig.code == "SIZE_INVALID")
        for _ in 0..<2 { try registry.push(blob: randomBytes(10_000), to: "a") }
        let last = randomBytes(10_000)
        let full = try registry.send(
            "POST", "/v2/a/blobs/uploads/?digest=\(sha256(last))", [:], last)
        #expect(full.status == 403 && full.code == "DENIED")
        #expect(try files(registry.root + "/uploads").isEmpty)
    }

    @Test func `an endless body ends at the limit`() throws {
        let registry = try RegistryProcess("--max-blob", "1m")
        let location = try #require(try registry.send("POST", "/v2/a/blobs/uploads/")["Location"])
        let connection = try registry.connect()
        connection.send(
            "PATCH \(location) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        let chunk = "10000\r\n" + String(repeating: "x", count: 65536) + "\r\n"
        var sent = 0
        while sent < 512, connection.send(chunk) { sent += 1 }
        #expect(sent < 512)
        #expect(registry.peakMemory < 64 << 20)
        #expect(try registry.send("GET", "/health").status == 200)
    }

    @Test func `a body shorter than announced can be gone on with`() throws {
        let registry = try RegistryProcess()
        let blob = randomBytes(200_000)
        let location = try #require(try registry.send("POST", "/v2/a/blobs/uploads/")["Location"])
        do {
            let connection = try registry.connect()
            connection.send(
                "PATCH \(location) HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
            connection.send(blob[..<120_000])
        }
        try waitUntil("what came to be written") {
            try registry.send("GET", location)["Range"] == "0-119999"
        }
        let end = try registry.send(
            "PUT", location + "?digest=\(sha256(blob))", ["Content-Range": "120000-199999"],
            Array(blob[120_000...]))
        #expect(end.status == 201)
    }

    @Test(arguments: [
        "Content-Length: -1", "Content-Length: 99999999999999999999",
        "Content-Length: 5\r\nContent-Length: 6", "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip", "No colon",
    ])
    func `a message that can be read in two ways is not read`(header: String) throws {
        let registry = try RegistryProcess()
        let connection = try registry.connect()
        connection.send("POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n\(header)\r\n\r\nGET ")
        let reply = try? connection.reply()
        #expect(reply == nil || reply?.status == 400 || reply?.status == 501)
        #expect(try registry.send("GET", "/health").status == 200)
    }

    @Test func `heads without end are cut off`() throws {
        let registry = try RegistryProcess("--patience", "1")
        // 40 MB: a little more than the kernel's buffers take in, 32 and 4 MiB, while the registry has to
        // wait for a processor. See "tcp_rmem" and "tcp_wmem" in `tcp(7)`.
        let most = 40_000
        let line = "X-Filler: " + String(repeating: "x", count: 1000) + "\r\n"
        let connection = try registry.connect(seconds: 5)
        connection.send("GET /v2/ HTTP/1.1\r\nHost: x\r\n")
        var sent = 0
        while sent < most, connection.send(line) { sent += 1 }
        #expect(sent < most)
        let path = try registry.connect(seconds: 5)
        path.send("GET /v2/")
        var count = 0
        while count < most, path.send(String(repeating: "x", count: 1000)) { count += 1 }
        #expect(count < most)
        #expect(registry.peakMemory < 64 << 20)
        #expect(try registry.send("GET", "/health").status == 200)
    }

    @Test func `of two who write to one upload, one is told to wait`() throws {
        let registry = try RegistryProcess()
        let location = try #require(try registry.send("POST", "/v2/a/blobs/uploads/")["Location"])
        let blob = randomBytes(100_000)
        let first = try registry.connect()
        first.send("PATCH \(location) HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        first.send(blob[..<10_000])
        try waitUntil("the first to have the upload") { try registry.isTaken(location) }
        let second = try registry.send("PUT", location + "?digest=\(sha256(blob))", [:], blob)
        #expect(second.status == 409)
        #expect(try registry.send("DELETE", location).status == 409)
        first.send(blob[10_000...])
        #expect(try first.reply().status == 202)
        #expect(try registry.send("PUT", location + "?digest=\(sha256(blob))").status == 201)
    }

    @Test func `twenty who push the same blob at once leave one`() throws {
        let registry = try RegistryProcess()
        let blob = randomBytes(300_000)
        let digest = sha256(blob)
        let connections = try (0..<20).map { _ in try registry.connect() }
        for (number, connection) in connections.enumerated() {
            connection.send(
                "POST /v2/r\(number % 4)/blobs/uploads/?digest=\(digest) HTTP/1.1\r\nHost: x\r\n"
                    + "Content-Length: 300000\r\n\r\n")
            connection.send(blob)
        }
        for connection in connections { #expect(try connection.reply().status == 201) }
        let pool = try files(registry.root + "/blobs")
        #expect(pool.count == 1)
        #expect(try shell("stat -c %h '\(pool[0])'") == "5\n")
        #expect(try files(registry.root + "/uploads").isEmpty)
    }

    @Test func `a client that keeps the registry waiting is dropped`() throws {
        let registry = try RegistryProcess("--patience", "1")
        let location = try #require(try registry.send("POST", "/v2/a/blobs/uploads/")["Location"])
        let silent = try registry.connect()
        let half = try registry.connect()
        half.send("GET /v2/ HTTP/1.1\r\nHo")
        let trickle = try registry.connect()
        trickle.send("PATCH \(location) HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        var sent = 0
        while sent < 1000, trickle.send("x") {
            sent += 1
            usleep(20_000)
        }
        #expect(sent < 1000)
        #expect(try silent.isClosed())
        #expect(try half.isClosed())
        #expect(try registry.send("GET", location).status == 204)
    }

    @Test func `who asks for a blob and takes none of it is dropped`() throws {
        let registry = try RegistryProcess("--patience", "1")
        let digest = try registry.push(blob: [UInt8](repeating: 1, count: 32 << 20), to: "a")
        let before = try shell("ls /proc/\(registry.process)/fd | wc -l")
        let greedy = try registry.connect()
        greedy.send("GET /v2/a/blobs/\(digest) HTTP/1.1\r\nHost: x\r\n\r\n")
        try waitUntil("the registry to give up") {
            try shell("ls /proc/\(registry.process)/fd | wc -l") == before
        }
        #expect(registry.peakMemory < 64 << 20)
    }

    @Test func `a client can write nothing into the log that is not its own line`() throws {
        let registry = try RegistryProcess()
        let connection = try registry.connect()
        connection.send("GET /v2/%0afake%1b[31m\u{1B}[0m\"x HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = try? connection.reply()
        try registry.send("GET", "/health")
        try waitUntil("the log") { registry.log.contains("/health") }
        #expect(!registry.log.contains("\u{1B}"))
        #expect(!registry.log.contains("\nfake"))
    }
}
