import Foundation
import Images
import Kernel
import OCISpec
import Synchronization
import Testing

@testable import Registry

@Suite("Pull") struct PullTests {
    @Test func `A pull brings the blobs, the manifest byte for byte, the name and the files`()
        async throws
    {
        let place = try Place()
        let image = RandomImage(layers: 5)
        let server = try ScriptedServer(image.serve)
        let reference = try image.reference(at: server)
        let outcome = try await pull(reference, into: place, settings(in: place))
        #expect(outcome.resolved == image.manifestDigest)
        let found = try place.store.resolve(reference.description)
        #expect(found.descriptor.digest == image.manifestDigest)
        #expect(try place.store.bytes(of: found.descriptor) == image.manifest)
        let directories = try Snapshots(stateRoot: place.path).lowerDirectories(
            for: found, in: place.store)
        for (index, directory) in directories.reversed().enumerated() {
            #expect(FileManager.default.fileExists(atPath: directory + "/file\(index)"))
        }
        #expect(place.unfinished.isEmpty)
    }

    @Test func `The second pull asks for the manifest and for no blob`() async throws {
        let place = try Place()
        let image = RandomImage(layers: 2)
        let server = try ScriptedServer(image.serve)
        let reference = try image.reference(at: server)
        try await pull(reference, into: place, settings(in: place))
        let before = server.calls.count
        try await pull(reference, into: place, settings(in: place))
        #expect(!server.calls.dropFirst(before).contains { $0.path.contains("/blobs/") })
    }

    @Test func `What breaks off is gone on with where it was`() async throws {
        let place = try Place()
        let image = RandomImage(size: 300_000)
        let isFirst = Mutex(true)
        let server = try ScriptedServer { call, peer in
            let cuts =
                image.isLayer(call)
                && isFirst.withLock { first in
                    defer { first = false }
                    return first
                }
            guard cuts else { return image.serve(call, peer) }
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: \(image.layers[0].count)\r\n\r\n")
            peer.write(image.layers[0].prefix(100_000))
            peer.cut()
        }
        try await pull(try image.reference(at: server), into: place, settings(in: place))
        let ranges = server.calls.filter { image.isLayer($0) }.map { $0.headers["range"] }
        #expect(ranges.count == 2)
        #expect(ranges[0] == nil)
        let start = try #require(ranges[1].flatMap { Int($0.dropFirst(6).dropLast()) })
        #expect((1...100_000).contains(start))
        #expect(place.blobs.contains(image.layerDigests[0].hex))
    }

    @Test(arguments: [true, false])
    func `The next pull goes on with what one before left`(knowsRanges: Bool) async throws {
        let place = try Place()
        let image = RandomImage(size: 300_000)
        let isBroken = Mutex(true)
        let server = try ScriptedServer { call, peer in
            guard image.isLayer(call) else { return image.serve(call, peer) }
            if isBroken.withLock({ $0 }) {
                peer.write("HTTP/1.1 200 OK\r\nContent-Length: \(image.layers[0].count)\r\n\r\n")
                peer.write(image.layers[0].prefix(100_000))
                return peer.cut()
            }
            if knowsRanges { return image.serve(call, peer) }
            peer.answer(200, [:], image.layers[0])
        }
        let reference = try image.reference(at: server)
        let own = settings(retries: 0, in: place)
        let error = await #expect(throws: KernelError.self) {
            try await pull(reference, into: place, own)
        }
        #expect(error?.errno == .connectionReset)
        // The configuration, if it was on its way then, is unfinished too.
        let parts = [image.layerDigests[0], image.configurationDigest]
            .map { "sha256-\($0.hex).part" }
        #expect(place.unfinished.contains(parts[0]))
        #expect(Set(place.unfinished).isSubset(of: parts))
        isBroken.withLock { $0 = false }
        try await pull(reference, into: place, own)
        let last = try #require(server.calls.last { image.isLayer($0) })
        #expect(last.headers["range"] != nil)
        #expect(place.unfinished.isEmpty)
        #expect(place.blobs.contains(image.layerDigests[0].hex))
    }

    @Test func `An unfinished download that is damaged is fetched anew`() async throws {
        let place = try Place()
        let image = RandomImage(size: 300_000)
        let server = try ScriptedServer { call, peer in
            // Time enough for whoever would unpack what is damaged.
            if call.headers["range"] != nil { usleep(200_000) }
            image.serve(call, peer)
        }
        try place.leaveUnfinished(image.layerDigests[0], randomBytes(1000)[...])
        try await pull(try image.reference(at: server), into: place, settings(in: place))
        #expect(place.blobs.contains(image.layerDigests[0].hex))
        #expect(
            server.calls.filter { image.isLayer($0) }.map { $0.headers["range"] } == [
                "bytes=1000-", nil,
            ])
    }

    @Test func `An unfinished download that the registry cannot go on with is fetched anew`()
        async throws
    {
        let place = try Place()
        let image = RandomImage(size: 300_000)
        let server = try ScriptedServer { call, peer in
            if call.headers["range"] != nil { return peer.answer(416) }
            image.serve(call, peer)
        }
        try place.leaveUnfinished(image.layerDigests[0], image.layers[0].prefix(1000))
        try await pull(try image.reference(at: server), into: place, settings(in: place))
        #expect(place.blobs.contains(image.layerDigests[0].hex))
        #expect(place.unfinished.isEmpty)
    }

    @Test func `A tag that moves during the pull changes nothing`() async throws {
        let place = try Place()
        let (image, other) = (RandomImage(), RandomImage())
        let index = Array(ImageIndex(manifests: [image.descriptor]).json.text().utf8)
        let moved = Array(ImageIndex(manifests: [other.descriptor]).json.text().utf8)
        let isMoved = Mutex(false)
        let server = try ScriptedServer { call, peer in
            guard call.path.hasSuffix("/manifests/\(image.tag)") else {
                return image.serve(call, peer)
            }
            let now = isMoved.withLock { moved in
                defer { moved = true }
                return moved
            }
            peer.answer(200, ["Content-Type": MediaType.index], now ? moved : index)
        }
        let reference = try image.reference(at: server)
        let outcome = try await pull(reference, into: place, settings(in: place))
        #expect(outcome.resolved == digest(of: index, .sha256))
        #expect(outcome.stored.digest == image.manifestDigest)
        #expect(try place.store.resolve(reference.description).id == image.configurationDigest)
    }

    @Test func `A platform is chosen from the index, and one that is not there is named`()
        async throws
    {
        let place = try Place()
        let image = RandomImage()
        var entry = image.descriptor
        entry.platform = Platform(architecture: "sparc", os: "linux", variant: "v9")
        let index = Array(ImageIndex(manifests: [entry]).json.text().utf8)
        let server = try ScriptedServer { call, peer in
            guard call.path.hasSuffix("/manifests/\(image.tag)") else {
                return image.serve(call, peer)
            }
            peer.answer(200, ["Content-Type": MediaType.index], index)
        }
        let reference = try image.reference(at: server)
        let error = await #expect(throws: KernelError.self) {
            try await pull(reference, into: place, settings(in: place))
        }
        #expect(error?.remedy.contains("linux/sparc/v9") == true)
        let outcome = try await pull(reference, into: place, settings(in: place)) {
            $0.platform = Platform(architecture: "sparc", os: "linux", variant: "v9")
        }
        #expect(outcome.stored.digest == image.manifestDigest)
        let all = try await pull(reference, into: place, settings(in: place)) {
            $0.wantsAllPlatforms = true
        }
        #expect(all.stored.digest == digest(of: index, .sha256))
    }

    @Test func `What a registry answers when it is not well is asked for again`() async throws {
        let place = try Place()
        let image = RandomImage()
        let bad = Mutex([503, 429, 500, 502])
        let server = try ScriptedServer { call, peer in
            let status = call.path == "/v2/" ? nil : bad.withLock { $0.popLast() }
            guard let status else { return image.serve(call, peer) }
            peer.answer(status, ["Retry-After": "0"])
        }
        try await pull(
            try image.reference(at: server), into: place, settings(retries: 4, in: place))
        #expect(bad.withLock { $0.isEmpty })
    }

    @Test func `A registry that asks for an hour is not waited for`() async throws {
        let place = try Place()
        let image = RandomImage()
        let server = try ScriptedServer { call, peer in
            if call.path == "/v2/" { return peer.answer(200) }
            peer.answer(429, ["Retry-After": "3600"])
        }
        let error = await #expect(throws: KernelError.self) {
            try await pull(try image.reference(at: server), into: place, settings(in: place))
        }
        #expect(error?.remedy.contains("3600 seconds") == true)
    }

    @Test func `A mirror goes first, and one that lies is passed over`() async throws {
        let place = try Place()
        let (image, other) = (RandomImage(layers: 2), RandomImage())
        let server = try ScriptedServer(image.serve)
        let mirror = try ScriptedServer { call, peer in
            // It knows which image it is, and lies about what is in it.
            if call.path.contains("/blobs/") { return peer.answer(200, [:], other.layers[0]) }
            image.serve(call, peer)
        }
        var own = settings(in: place)
        own.mirrors.byRegistry[server.address] = [mirror.address]
        let notes = Mutex(0)
        let observer: TransferObserver = {
            if case .note = $0 { notes.withLock { $0 += 1 } }
        }
        try await pull(
            try image.reference(at: server), into: place, own, observer: observer)
        #expect(mirror.calls.contains { image.isManifest($0) })
        #expect(!server.calls.contains { image.isManifest($0) })
        #expect(server.calls.filter { $0.path.contains("/blobs/") }.count == 3)
        #expect(notes.withLock { $0 } == 3)
    }

    @Test func `A redirect is followed, and the other host hears nothing of who we are`()
        async throws
    {
        let place = try Place()
        let image = RandomImage()
        let shelf = try ScriptedServer(image.serve)
        let (user, password) = (randomWord(), randomWord())
        let server = try ScriptedServer { [shelf] call, peer in
            guard call.headers["authorization"] != nil else {
                return peer.answer(401, ["WWW-Authenticate": "Basic realm=\"x\""])
            }
            guard call.path.contains("/blobs/") else { return image.serve(call, peer) }
            peer.answer(307, ["Location": "http://\(shelf.address)\(call.path)"])
        }
        let own = settings(in: place)
        try own.credentials.store(
            .password(user: user, password: password), for: server.address)
        try await pull(try image.reference(at: server), into: place, own)
        #expect(shelf.calls.count == 2)
        #expect(shelf.calls.allSatisfy { $0.headers["authorization"] == nil })
        let told = server.calls.compactMap { $0.headers["authorization"] }
        #expect(Set(told) == ["Basic " + Data("\(user):\(password)".utf8).base64EncodedString()])
    }

    @Test func `A token is fetched with the password, and a new one when it has run out`()
        async throws
    {
        let place = try Place()
        let image = RandomImage(layers: 3)
        let valid = Mutex("")
        let uses = Mutex(0)
        let (user, password) = (randomWord(), randomWord())
        let tokens = try ScriptedServer { call, peer in
            let token = randomWord()
            valid.withLock { $0 = token }
            uses.withLock { $0 = 0 }
            peer.answer(200, [:], "{\"token\": \"\(token)\"}")
        }
        let server = try ScriptedServer { [tokens] call, peer in
            let isGood = call.headers["authorization"] == "Bearer " + valid.withLock { $0 }
            let count = uses.withLock { uses in
                uses += 1
                return uses
            }
            guard isGood, count < 3 else {
                valid.withLock { $0 = "" }
                let realm = "http://\(tokens.address)/token"
                return peer.answer(
                    401, ["WWW-Authenticate": "Bearer realm=\"\(realm)\",service=\"s p\""])
            }
            image.serve(call, peer)
        }
        var own = settings(in: place)
        own.parallelLayers = 1
        try own.credentials.store(.password(user: user, password: password), for: server.address)
        try await pull(try image.reference(at: server), into: place, own)
        #expect(tokens.calls.count >= 2)
        let call = try #require(tokens.calls.first)
        #expect(call.target.contains("service=s%20p"))
        #expect(call.target.contains("scope=repository%3A\(image.repository)%3Apull"))
        #expect(
            call.headers["authorization"]
                == "Basic " + Data("\(user):\(password)".utf8).base64EncodedString())
    }

    @Test func `A refresh token is posted, not sent as a password`() async throws {
        let place = try Place()
        let image = RandomImage()
        let (refresh, token) = (randomWord(), randomWord())
        let tokens = try ScriptedServer { call, peer in
            let body = String(decoding: call.body, as: UTF8.self)
            let isRight =
                call.method == "POST" && body.contains("refresh_token=\(refresh)")
                && body.contains("grant_type=refresh_token")
            peer.answer(isRight ? 200 : 400, [:], "{\"access_token\": \"\(token)\"}")
        }
        let server = try ScriptedServer { [tokens] call, peer in
            if call.headers["authorization"] == "Bearer \(token)" { return image.serve(call, peer) }
            let realm = "http://\(tokens.address)/"
            peer.answer(401, ["WWW-Authenticate": "Bearer realm=\"\(realm)\",service=\"x\""])
        }
        let own = settings(in: place)
        try own.credentials.store(.identityToken(refresh), for: server.address)
        try await pull(try image.reference(at: server), into: place, own)
        #expect(tokens.calls.allSatisfy { $0.headers["authorization"] == nil })
    }
}
