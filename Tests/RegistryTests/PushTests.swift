import Foundation
import Images
import Kernel
import OCISpec
import Synchronization
import Testing

@testable import Registry

/// A registry that keeps what it is sent, in memory, and notes how.
private final class MemoryRegistry: Sendable {
    struct Kept {
        var blobs: [String: [UInt8]] = [:]
        var uploads: [String: [UInt8]] = [:]
        var manifests: [String: [UInt8]] = [:]
        var mounts: [String] = []
    }

    let kept = Mutex(Kept())
    /// Is asked first; true where it has answered itself.
    private let interfere: @Sendable (ScriptedServer.Call, ScriptedServer.Peer) -> Bool
    private let uploadHeaders: [String: String]

    init(
        uploadHeaders: [String: String] = [:],
        interfere: @escaping @Sendable (ScriptedServer.Call, ScriptedServer.Peer) -> Bool = {
            _, _ in false
        }
    ) {
        self.uploadHeaders = uploadHeaders
        self.interfere = interfere
    }

    func serve(_ call: ScriptedServer.Call, _ peer: ScriptedServer.Peer) {
        if interfere(call, peer) { return }
        let name = String(call.path.split(separator: "/").last ?? "")
        let query = String(call.target.dropFirst(call.path.count))
        switch call.method {
        case "HEAD":
            let blob = kept.withLock { $0.blobs[name] }
            peer.answer(blob == nil ? 404 : 200, [:], blob ?? [], isHead: true)
        case "POST":
            if query.contains("mount="), kept.withLock({ !$0.blobs.isEmpty }) {
                kept.withLock { $0.mounts.append(query) }
                return peer.answer(201, ["Location": "/"])
            }
            let upload = randomWord()
            kept.withLock { $0.uploads[upload] = [] }
            let own = ["Location": "\(call.path)\(upload)?state=\(randomWord())"]
            peer.answer(202, own.merging(uploadHeaders) { first, _ in first })
        case "PATCH":
            let size = kept.withLock { kept in
                kept.uploads[name, default: []] += call.body
                return kept.uploads[name]?.count ?? 0
            }
            peer.answer(202, ["Location": call.target, "Range": "0-\(size - 1)"])
        case "GET" where call.path.contains("/uploads/"):
            let size = kept.withLock { $0.uploads[name]?.count ?? 0 }
            peer.answer(204, ["Location": call.target, "Range": "0-\(max(0, size - 1))"])
        case "PUT" where call.path.contains("/uploads/"):
            let whole = kept.withLock { ($0.uploads[name] ?? []) + call.body }
            let own = "\(digest(of: whole, .sha256))"
            guard query.contains("digest=" + percentEncoded(own)) else {
                return peer.answer(
                    400, [:], #"{"errors": [{"code": "DIGEST_INVALID", "message": "no"}]}"#)
            }
            kept.withLock { $0.blobs[own] = whole }
            peer.answer(201, ["Location": "/"])
        case "PUT":
            kept.withLock { $0.manifests[name] = call.body }
            peer.answer(201)
        default: peer.answer(200)
        }
    }
}

@Suite("Push") struct PushTests {
    /// A place with a pulled image in it.
    private func placeWith(_ image: RandomImage) async throws -> (Place, String) {
        let place = try Place()
        let server = try ScriptedServer(image.serve)
        let reference = try image.reference(at: server)
        try await pull(reference, into: place, settings(in: place))
        return (place, reference.description)
    }

    private func push(
        _ name: String, to server: ScriptedServer, from place: Place, _ own: TransferSettings,
        repository: String = "a/b"
    ) async throws -> Digest {
        try await ImagePush(
            name, as: try ImageReference("\(server.address)/\(repository):t"),
            stateRoot: place.path, settings: own
        ).run().digest
    }

    @Test func `A push sends every blob once, then the manifest byte for byte`() async throws {
        let image = RandomImage(layers: 3, size: 2_000_000)
        let (place, name) = try await placeWith(image)
        let registry = MemoryRegistry()
        let server = try ScriptedServer(registry.serve)
        let own = settings(in: place)
        #expect(try await push(name, to: server, from: place, own) == image.manifestDigest)
        registry.kept.withLock { kept in
            #expect(kept.manifests["t"] == image.manifest)
            for blob in image.layers + [image.configuration] {
                #expect(kept.blobs["\(digest(of: blob, .sha256))"] == blob)
            }
        }
        #expect(server.calls.last?.path == "/v2/a/b/manifests/t")
        let before = server.calls.count
        _ = try await push(name, to: server, from: place, own)
        let second = server.calls.dropFirst(before).map(\.method)
        #expect(!second.contains("POST") && !second.contains("PATCH"))
    }

    @Test func `Pieces are as large as was wanted, and as the registry wants them at least`()
        async throws
    {
        let image = RandomImage(size: 300_000)
        let (place, name) = try await placeWith(image)
        let registry = MemoryRegistry(uploadHeaders: ["OCI-Chunk-Min-Length": "100000"])
        let server = try ScriptedServer(registry.serve)
        var own = settings(in: place)
        own.chunkSize = 70_000
        _ = try await push(name, to: server, from: place, own)
        let sizes = server.calls.filter { $0.method == "PATCH" && $0.body.count > 1000 }
            .map(\.body.count)
        let whole = image.layers[0].count
        #expect(sizes == [100_000, 100_000, 100_000, whole - 300_000])
        let ranges = server.calls.filter { $0.method == "PATCH" }
            .compactMap { $0.headers["content-range"] }
        #expect(ranges.contains("0-99999") && ranges.contains("100000-199999"))
    }

    @Test func `An upload that breaks off goes on behind what the registry has`() async throws {
        let image = RandomImage(size: 300_000)
        let (place, name) = try await placeWith(image)
        let count = Mutex(0)
        let registry = MemoryRegistry { call, peer in
            guard call.method == "PATCH", call.body.count > 1000 else { return false }
            let number = count.withLock { count in
                count += 1
                return count
            }
            guard number == 2 else { return false }
            peer.cut()
            return true
        }
        let server = try ScriptedServer(registry.serve)
        var own = settings(in: place)
        own.chunkSize = 100_000
        _ = try await push(name, to: server, from: place, own)
        #expect(registry.kept.withLock { $0.blobs["\(image.layerDigests[0])"] } == image.layers[0])
        let ranges = server.calls.filter { $0.method == "PATCH" }
            .compactMap { $0.headers["content-range"] }
        #expect(ranges.filter { $0 == "0-99999" }.count == 1)
        #expect(ranges.filter { $0 == "100000-199999" }.count == 2)
        #expect(server.calls.contains { $0.method == "GET" && $0.path.contains("/uploads/") })
    }

    @Test func `What another repository of the registry has is mounted, not sent`() async throws {
        let image = RandomImage(size: 300_000)
        let (place, name) = try await placeWith(image)
        let registry = MemoryRegistry()
        let server = try ScriptedServer(registry.serve)
        let own = settings(in: place)
        _ = try await push(name, to: server, from: place, own)
        let found = try place.store.resolve(name).descriptor
        try place.store.tag(found, as: try ImageReference("\(server.address)/a/b:t"))
        // The registry tells each repository apart.
        registry.kept.withLock { $0.blobs = ["x": []] }
        _ = try await push(name, to: server, from: place, own, repository: "other")
        let mounts = registry.kept.withLock { $0.mounts }
        #expect(mounts.count == 1)
        #expect(mounts.first?.contains("from=a%2Fb") == true)
    }

    @Test func `A registry that has less than it said gets all of it`() async throws {
        let image = RandomImage(size: 300_000)
        let (place, name) = try await placeWith(image)
        let registry = MemoryRegistry { call, peer in
            guard call.method == "HEAD" else { return false }
            // It is there, and is one byte long.
            peer.answer(200, ["Content-Length": "1"], [], isHead: true)
            return true
        }
        let server = try ScriptedServer(registry.serve)
        _ = try await push(name, to: server, from: place, settings(in: place))
        #expect(registry.kept.withLock { $0.blobs["\(image.layerDigests[0])"] } == image.layers[0])
    }

    @Test func `A registry that takes nothing more is not waited for`() async throws {
        let image = RandomImage(size: 20_000_000)
        let (place, name) = try await placeWith(image)
        // Not a registry: it accepts a connection and never reads a body.
        let server = try ScriptedServer { call, peer in
            if call.method == "POST" { return peer.answer(202, ["Location": "/v2/u"]) }
            if call.method == "HEAD" { return peer.answer(404, [:], [], isHead: true) }
            if call.method == "GET" { return peer.answer(200) }
            peer.hang()
        }
        let error = await #expect(throws: KernelError.self) {
            try await push(
                name, to: server, from: place, settings(silence: 1, retries: 0, in: place))
        }
        #expect(error?.errno == .timedOut)
    }

    @Test func `A registry that stores another manifest is found out`() async throws {
        let image = RandomImage()
        let (place, name) = try await placeWith(image)
        let registry = MemoryRegistry { call, peer in
            guard call.method == "PUT", call.path.contains("/manifests/") else { return false }
            peer.answer(
                201, ["Docker-Content-Digest": "\(digest(of: randomBytes(9), .sha256))"])
            return true
        }
        let server = try ScriptedServer(registry.serve)
        let error = await #expect(throws: KernelError.self) {
            try await push(name, to: server, from: place, settings(in: place))
        }
        #expect(error?.remedy.contains("something else") == true)
    }

    @Test func `A blob that is damaged here is refused by its digest there`() async throws {
        let image = RandomImage()
        let (place, name) = try await placeWith(image)
        let path = place.store.blobPath(image.layerDigests[0])
        var bytes = image.layers[0]
        bytes[700] ^= 1
        try FileManager.default.removeItem(atPath: path)
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let server = try ScriptedServer(MemoryRegistry().serve)
        let error = await #expect(throws: KernelError.self) {
            try await push(name, to: server, from: place, settings(in: place))
        }
        #expect(error?.remedy.contains("DIGEST_INVALID") == true)
    }
}
