import Foundation
import Kernel
import OCISpec
import Testing

@testable import RegistryServer

/// Registries that are killed, stopped, and cleaned up after.
@Suite struct CrashTests {
    @Test func `an upload outlives the server that was killed`() throws {
        let scratch = try Scratch()
        let blob = randomBytes(700_000)
        var location = ""
        var known = 0
        do {
            let registry = try RegistryProcess(root: scratch / "store")
            location = try #require(try registry.send("POST", "/v2/a/blobs/uploads/")["Location"])
            let chunk = try registry.send("PATCH", location, [:], Array(blob[..<300_000]))
            #expect(chunk.status == 202)
            let broken = try registry.connect()
            broken.send("PATCH \(location) HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n")
            broken.send(blob[300_000..<600_000])
            try registry.crash()
        }
        let registry = try RegistryProcess(root: scratch / "store")
        let range = try #require(try registry.send("GET", location)["Range"])
        known = (Int(range.dropFirst(2)) ?? 0) + 1
        #expect(known >= 300_000)
        let digest = sha256(blob)
        let end = try registry.send(
            "PUT", location + "?digest=\(digest)", ["Content-Range": "\(known)-699999"],
            Array(blob[known...]))
        #expect(end.status == 201)
        #expect(try registry.send("GET", "/v2/a/blobs/\(digest)").body == blob)
    }

    @Test func `killed at any moment, a registry has whole images or none`() throws {
        let scratch = try Scratch()
        for round in 0..<12 {
            let registry = try RegistryProcess(root: scratch / "store")
            try checkEverything(registry)
            let pusher = Thread {
                for number in 0..<1000 {
                    guard (try? registry.pushImage(to: "a", tag: "t\(round)-\(number)")) != nil
                    else { return }
                }
            }
            pusher.start()
            usleep(UInt32.random(in: 0..<120_000))
            try registry.crash()
            try waitUntil("the pusher") { pusher.isFinished }
        }
        let registry = try RegistryProcess(root: scratch / "store")
        try checkEverything(registry)
        #expect(try files(scratch / "store/tmp").isEmpty)
    }

    /// Every tag leads to a manifest, and that to all its blobs.
    private func checkEverything(_ registry: RegistryProcess) throws {
        let reply = try registry.send("GET", "/v2/a/tags/list")
        if reply.status == 404 { return }
        for tag in try JSONReader(reply.json)["tags"].strings() {
            let manifest = try registry.send("GET", "/v2/a/manifests/\(tag)")
            #expect(manifest.status == 200)
            #expect(sha256(manifest.body) == manifest["Docker-Content-Digest"])
            for layer in try JSONReader(manifest.json)["layers"].array() {
                let digest = try layer["digest"].string()
                let blob = try registry.send("GET", "/v2/a/blobs/\(digest)")
                #expect(sha256(blob.body) == digest)
            }
        }
    }

    @Test func `the index of a killed registry is written by the next one`() throws {
        let scratch = try Scratch()
        var digest = ""
        do {
            let registry = try RegistryProcess(root: scratch / "store")
            digest = try registry.pushImage(to: "a", tag: "t").digest
            try registry.crash()
        }
        let index = scratch / "store/repositories/a/index.json"
        let registry = try RegistryProcess(root: scratch / "store")
        try waitUntil("the index") { try readText(index).contains(digest) }
        _ = registry
    }

    @Test func `told to stop, a registry finishes what is under way`() throws {
        let registry = try RegistryProcess()
        let location = try #require(try registry.send("POST", "/v2/a/blobs/uploads/")["Location"])
        let blob = randomBytes(100_000)
        let connection = try registry.connect()
        connection.send(
            "PUT \(location)?digest=\(sha256(blob)) HTTP/1.1\r\nHost: x\r\n"
                + "Content-Length: 100000\r\n\r\n")
        connection.send(blob[..<50_000])
        try waitUntil("the upload to be taken") { try registry.isTaken(location) }
        kill(registry.process, SIGTERM)
        try waitUntil("the door to be shut") { (try? registry.connect()) == nil }
        connection.send(blob[50_000...])
        #expect(try connection.reply().status == 201)
        try waitUntil("the registry to end") { registry.isGone }
    }

    @Test func `told to stop, a registry does not wait forever`() throws {
        let registry = try RegistryProcess("--stop-timeout", "1")
        let location = try #require(try registry.send("POST", "/v2/a/blobs/uploads/")["Location"])
        let connection = try registry.connect()
        connection.send("PATCH \(location) HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx")
        try waitUntil("the upload to be taken") { try registry.isTaken(location) }
        kill(registry.process, SIGTERM)
        try waitUntil("the registry to end", 15) { registry.isGone }
    }

    @Test func `an upload that nobody goes on with is forgotten`() throws {
        let scratch = try Scratch()
        do {
            let registry = try RegistryProcess(root: scratch / "store")
            let location = try registry.send("POST", "/v2/a/blobs/uploads/")["Location"]
            try registry.send("PATCH", try #require(location), [:], randomBytes(10))
        }
        let uploads = try files(scratch / "store/uploads")
        #expect(uploads.count == 1)
        try shell("touch -d '2 hours ago' '\(uploads[0])'")
        _ = try RegistryProcess("--upload-expiry", "7000", root: scratch / "store")
        #expect(try files(scratch / "store/uploads").isEmpty)
    }

    @Test func `one process has the store`() throws {
        let registry = try RegistryProcess()
        let text = try shell(
            "'\(products)/hull-registry' --root '\(registry.root)' --listen 127.0.0.1:0 2>&1 || true"
        )
        #expect(text.contains("Another hull-registry has this store"))
    }

    @Test func `garbage goes, and what is used stays`() throws {
        let scratch = try Scratch()
        var kept: (digest: String, bytes: [UInt8], layer: String)?
        var gone: (digest: String, bytes: [UInt8], layer: String)?
        var loose = ""
        do {
            let registry = try RegistryProcess(root: scratch / "store")
            kept = try registry.pushImage(to: "a", tag: "kept")
            gone = try registry.pushImage(to: "a", tag: "gone")
            loose = try registry.push(blob: randomBytes(50), to: "a")
            try registry.send("DELETE", "/v2/a/manifests/\(try #require(gone).digest)")
        }
        let store = scratch / "store"
        let before = try files(store)
        let dry = try shell("'\(products)/hull-registry' --root '\(store)' --dry-run gc")
        #expect(dry.hasPrefix("Would remove"))
        #expect(try files(store) == before)
        let text = try shell("'\(products)/hull-registry' --root '\(store)' gc")
        #expect(text.hasPrefix("Removed"))
        let registry = try RegistryProcess(root: store)
        #expect(try registry.send("GET", "/v2/a/manifests/kept").status == 200)
        for (digest, status) in [
            (try #require(kept).layer, 200), (try #require(gone).layer, 404), (loose, 404),
        ] {
            #expect(try registry.send("GET", "/v2/a/blobs/\(digest)").status == status)
            let pool = "\(store)/blobs/sha256/\(digest.dropFirst(7))"
            #expect(FileManager.default.fileExists(atPath: pool) == (status == 200))
        }
    }

    @Test func `a collector takes nothing from a push that is under way`() throws {
        let scratch = try Scratch()
        let store = try RegistryStore(root: scratch / "store")
        let name = try #require(RepositoryName("a"))
        let blob = randomBytes(100)
        let digest = try Digest(sha256(blob))
        try Data(blob).write(to: URL(fileURLWithPath: store.blobPath(digest)))
        let result = try GarbageCollection(store: store).run()
        #expect(result.blobs == 0)
        #expect(try store.repository(name).adopt(digest))
        #expect(try GarbageCollection(store: store).run().blobs == 0)
        #expect(store.repository(name).hasBlob(digest))
    }
}
