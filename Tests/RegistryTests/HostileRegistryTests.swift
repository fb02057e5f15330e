import Foundation
import Images
import Kernel
import OCISpec
import Synchronization
import Testing

@testable import Registry

/// What a registry may do to its client, and what it gets for it: one clear line in the end, and
/// a store in which nothing has changed but that a download may go on later.
@Suite("Hostile registries") struct HostileRegistryTests {
    typealias Handler = @Sendable (RandomImage, ScriptedServer.Call, ScriptedServer.Peer) -> Bool

    /// `handler` answers, or returns false to have the image served as it should be.
    private func expectRefusal(
        _ errno: Errno, _ words: String, silence: Double = 20, retries: Int = 0, size: Int = 5000,
        sourceLocation: SourceLocation = #_sourceLocation, _ handler: @escaping Handler
    ) async throws {
        let place = try Place()
        let image = RandomImage(size: size)
        let server = try ScriptedServer { call, peer in
            if call.path == "/v2/" { return peer.answer(200) }
            if !handler(image, call, peer) { image.serve(call, peer) }
        }
        let reference = try image.reference(at: server)
        let error = await #expect(throws: KernelError.self, sourceLocation: sourceLocation) {
            try await pull(
                reference, into: place, settings(silence: silence, retries: retries, in: place))
        }
        guard let error else { return }
        #expect(error.errno == errno, "\(error)", sourceLocation: sourceLocation)
        #expect(
            words.isEmpty || error.description.contains(words), "\(error)",
            sourceLocation: sourceLocation)
        #expect(!error.description.contains("\n"), sourceLocation: sourceLocation)
        #expect(error.description.utf8.count < 1000, sourceLocation: sourceLocation)
        #expect(try place.store.index().manifests.isEmpty, sourceLocation: sourceLocation)
        #expect(!place.blobs.contains(image.layerDigests[0].hex), sourceLocation: sourceLocation)
        #expect(
            place.unfinished.allSatisfy { $0.hasSuffix(".part") }, sourceLocation: sourceLocation)
        let snapshots = place.path + "/snapshots"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: snapshots)) ?? []
        #expect(!names.contains { $0.count == 64 }, sourceLocation: sourceLocation)
    }

    @Test func `One that says nothing is not waited for`() async throws {
        try await expectRefusal(.timedOut, "fell silent", silence: 1) { image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.hang()
            return true
        }
    }

    @Test func `One that stops in the middle of a layer is not waited for`() async throws {
        try await expectRefusal(.timedOut, "fell silent", silence: 1) { image, call, peer in
            guard image.isLayer(call) else { return false }
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: \(image.layers[0].count)\r\n\r\n")
            peer.write(image.layers[0].prefix(1000))
            peer.hang()
            return true
        }
    }

    @Test func `One that lets a manifest drip is not waited for`() async throws {
        try await expectRefusal(.timedOut, "too slowly", silence: 1) { image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while peer.write(" ") { usleep(100_000) }
            return true
        }
    }

    @Test func `A manifest without an end is read up to its limit`() async throws {
        try await expectRefusal(.tooLarge, "larger than 4 MiB") { image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            let piece = String(repeating: " ", count: 0x10000)
            while peer.write("10000\r\n\(piece)\r\n") {}
            return true
        }
    }

    @Test func `A manifest that announces gigabytes is not read at all`() async throws {
        try await expectRefusal(.tooLarge, "larger than 4 MiB") { image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
            peer.hang()
            return true
        }
    }

    @Test func `A layer without an end stops at the size in the manifest`() async throws {
        try await expectRefusal(.badMessage, "More than its") { image, call, peer in
            guard image.isLayer(call) else { return false }
            peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            let piece = [UInt8](repeating: 0x41, count: 0x10000)
            while peer.write(Array("10000\r\n".utf8) + piece + Array("\r\n".utf8)) {}
            return true
        }
    }

    @Test func `A layer of another length is refused by its announcement`() async throws {
        try await expectRefusal(.badMessage, "announces") { image, call, peer in
            guard image.isLayer(call) else { return false }
            peer.answer(200, [:], image.layers[0] + [0])
            return true
        }
    }

    @Test func `A layer that ends too early is asked for again, and not for ever`() async throws {
        let count = Mutex(0)
        try await expectRefusal(.connectionReset, "ended after", retries: 2) { image, call, peer in
            guard image.isLayer(call) else { return false }
            count.withLock { $0 += 1 }
            if let range = call.headers["range"] {
                let start = range.dropFirst(6)
                peer.write("HTTP/1.1 206 OK\r\nContent-Range: bytes \(start)/*\r\n")
                peer.write("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            } else {
                peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                peer.write(Array("10\r\n".utf8) + image.layers[0].prefix(16))
                peer.write("\r\n0\r\n\r\n")
            }
            return true
        }
        #expect(count.withLock { $0 } == 3)
    }

    @Test func `A layer that is not what its digest says is thrown away`() async throws {
        try await expectRefusal(.badMessage, "has the digest") { image, call, peer in
            guard image.isLayer(call) else { return false }
            var lie = image.layers[0]
            lie[600] ^= 1
            peer.answer(200, [:], lie)
            return true
        }
    }

    @Test func `A part that was not asked for is refused`() async throws {
        let isFirst = Mutex(true)
        try await expectRefusal(.badMessage, "another part", retries: 2, size: 100_000) {
            image, call, peer in
            guard image.isLayer(call) else { return false }
            let first = isFirst.withLock { first in
                defer { first = false }
                return first
            }
            if first {
                peer.write("HTTP/1.1 200 OK\r\nContent-Length: \(image.layers[0].count)\r\n\r\n")
                peer.write(image.layers[0].prefix(50_000))
                peer.cut()
            } else {
                peer.answer(206, ["Content-Range": "bytes 0-9/100"], image.layers[0])
            }
            return true
        }
    }

    @Test func `A manifest whose name is a lie is refused`() async throws {
        let other = RandomImage()
        try await expectRefusal(.badMessage, "which it is not") { image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.answer(
                200,
                [
                    "Content-Type": MediaType.manifest,
                    "Docker-Content-Digest": "\(other.manifestDigest)",
                ], image.manifest)
            return true
        }
    }

    @Test func `Another manifest than the one that was asked for by digest is refused`()
        async throws
    {
        let place = try Place()
        let (image, other) = (RandomImage(), RandomImage())
        let server = try ScriptedServer { call, peer in
            guard image.isManifest(call) else { return image.serve(call, peer) }
            peer.answer(200, ["Content-Type": MediaType.manifest], other.manifest)
        }
        let error = await #expect(throws: KernelError.self) {
            try await pull(
                try ImageReference("\(server.address)/x@\(image.manifestDigest)"), into: place,
                settings(in: place))
        }
        #expect(error?.errno == .badMessage)
        #expect(error?.remedy.contains("\(other.manifestDigest)") == true)
    }

    @Test func `A document that is an index and a manifest at once is refused`() async throws {
        try await expectRefusal(.badMessage, "at once") { image, call, peer in
            guard image.isManifest(call) else { return false }
            let text = String(decoding: image.manifest, as: UTF8.self)
            peer.answer(
                200, ["Content-Type": MediaType.manifest], text.dropLast() + ",\"manifests\":[]}")
            return true
        }
    }

    @Test func `A document that calls itself other than it is sent is refused`() async throws {
        try await expectRefusal(.badMessage, "calls itself") { image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.answer(200, ["Content-Type": MediaType.index], image.manifest)
            return true
        }
    }

    @Test func `What is packed on the way, a bomb perhaps, is not unpacked`() async throws {
        try await expectRefusal(.protocolError, "packed (gzip)") { image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.answer(200, ["Content-Encoding": "gzip"], [0x1F, 0x8B, 8, 0])
            return true
        }
    }

    @Test func `Redirects in a circle end`() async throws {
        try await expectRefusal(.looping, "circles") { image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.answer(302, ["Location": call.target])
            return true
        }
    }

    @Test func `Redirects without an end come to one`() async throws {
        try await expectRefusal(.looping, "circles") { image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.answer(302, ["Location": "\(call.target)x"])
            return true
        }
    }

    @Test(arguments: [
        "file:///etc/passwd", "ftp://localhost/", "http://user:pass@localhost/", "//", "x",
        "http://localhost:99999/", "https://", "http://a b/", "gopher://localhost:70/_x",
    ])
    func `A redirect to what is no web address is refused`(location: String) async throws {
        try await expectRefusal(.protocolError, "no proper address") { image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.answer(307, ["Location": location])
            return true
        }
    }

    @Test(arguments: ["http://192.0.2.1/", "http://169.254.169.254/latest/meta-data"])
    func `A redirect to somebody else's plain HTTP is refused`(location: String) async throws {
        try await expectRefusal(.protocolError, "not encrypted") { image, call, peer in
            guard image.isLayer(call) else { return false }
            peer.answer(307, ["Location": location])
            return true
        }
    }

    @Test(arguments: [
        "", "Bearer", "Bearer realm=", "Bearer realm=\"", "Negotiate", "Basic", "Digest a=b, c",
        "Bearer realm=\"file:///etc/passwd\"", "Bearer realm=\"http://192.0.2.1/\"",
        "Bearer realm=\"x\", scope=\"" + String(repeating: "a", count: 5000) + "\"",
        String(repeating: "a=\"b\", ", count: 1000), "Bearer realm=\"https://a@b/\"",
    ])
    func `An absurd question who we are is refused`(challenge: String) async throws {
        let errno: Errno = challenge == "Basic" ? .accessDenied : .protocolError
        try await expectRefusal(errno, "log in to") { image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.answer(401, ["WWW-Authenticate": challenge])
            return true
        }
    }

    @Test func `A registry that is never content with a token is not asked for ever`()
        async throws
    {
        let tokens = try ScriptedServer { _, peer in
            peer.answer(200, [:], "{\"token\": \"\(randomWord())\"}")
        }
        try await expectRefusal(.accessDenied, "Not allowed") { [tokens] image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.answer(
                401, ["WWW-Authenticate": "Bearer realm=\"http://\(tokens.address)/\""])
            return true
        }
        #expect(tokens.calls.count < 5)
    }

    @Test(arguments: ["", "{}", "{\"token\": \"a\\r\\nX: y\"}", "{\"token\": 1}", "[["])
    func `A token that is none is refused`(body: String) async throws {
        let tokens = try ScriptedServer { _, peer in peer.answer(200, [:], body) }
        try await expectRefusal(.badMessage, "holds no token") { [tokens] image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.answer(
                401, ["WWW-Authenticate": "Bearer realm=\"http://\(tokens.address)/\""])
            return true
        }
    }

    @Test(arguments: [
        "not HTTP at all\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx",
        "HTTP/1.1 999999 X\r\n\r\n", "\u{0}\u{1}\u{2}\u{3}\r\n\r\n",
    ])
    func `What is not HTTP is refused`(bytes: String) async throws {
        let place = try Place()
        let server = try ScriptedServer { call, peer in
            if call.path == "/v2/" { return peer.answer(200) }
            peer.write(bytes)
            peer.cut()
        }
        let error = await #expect(throws: KernelError.self) {
            try await pull(
                try ImageReference("\(server.address)/x"), into: place,
                settings(retries: 0, in: place))
        }
        #expect(error.map { !$0.description.contains("\n") } == true)
    }

    @Test func `What the registry says of its error reaches the user on one harmless line`()
        async throws
    {
        try await expectRefusal(.noSuchFile, "MANIFEST_UNKNOWN (no??such)") { image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.answer(
                404, [:],
                #"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no\n\u001bsuch"}]}"#)
            return true
        }
    }

    @Test(arguments: ["[]", "{}", "{\"schemaVersion\": 1}", "{\"schemaVersion\": 2", "null"])
    func `A manifest that is none is refused`(text: String) async throws {
        try await expectRefusal(.badMessage, "") { image, call, peer in
            guard image.isManifest(call) else { return false }
            peer.answer(200, ["Content-Type": MediaType.manifest], text)
            return true
        }
    }

    @Test func `An index that lists itself, or a thousand, is refused`() async throws {
        let place = try Place()
        let image = RandomImage()
        let entries = (0..<1000).map { _ in image.descriptor }
        let index = Array(ImageIndex(manifests: entries).json.text().utf8)
        let server = try ScriptedServer { call, peer in
            guard call.path.hasSuffix("/manifests/\(image.tag)") else {
                return image.serve(call, peer)
            }
            peer.answer(200, ["Content-Type": MediaType.index], index)
        }
        let error = await #expect(throws: KernelError.self) {
            try await pull(try image.reference(at: server), into: place, settings(in: place)) {
                $0.wantsAllPlatforms = true
            }
        }
        #expect(error?.errno == .tooLarge)
    }

    @Test func `A port where nobody listens, and a host that is not known, are named`() async throws
    {
        let place = try Place()
        let gone = try ScriptedServer { _, _ in }.address
        let error = await #expect(throws: KernelError.self) {
            try await pull(
                try ImageReference("\(gone)/x"), into: place, settings(retries: 0, in: place))
        }
        #expect(error?.errno == Errno(rawValue: ECONNREFUSED))
        #expect(error?.object.contains(gone) == true)
        let unknown = await #expect(throws: KernelError.self) {
            try await pull(
                try ImageReference("nobody.invalid/x"), into: place,
                settings(retries: 0, in: place))
        }
        #expect(unknown?.description.contains("nobody.invalid") == true)
    }
}
