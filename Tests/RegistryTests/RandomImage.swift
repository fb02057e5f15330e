import Foundation
import Images
import OCISpec

@testable import Registry

/// An image of random content, as a registry would have it.
struct RandomImage: Sendable {
    let repository = "r" + randomWord()
    let tag = "t" + randomWord()
    let layers: [[UInt8]]
    let configuration: [UInt8]
    let manifest: [UInt8]
    var configurationDigest: Digest { digest(of: configuration, .sha256) }
    var manifestDigest: Digest { digest(of: manifest, .sha256) }
    var layerDigests: [Digest] { layers.map { digest(of: $0, .sha256) } }

    init(layers count: Int = 1, size: Int = 5000, architecture: String = Platform.host.architecture)
    {
        let tars = (0..<count).map { tar("file\($0)", randomBytes(size)) }
        layers = tars
        let diffIDs = tars.map { JSON.string("\(digest(of: $0, .sha256))") }
        let json: JSON = [
            "architecture": .string(architecture), "os": "linux",
            "rootfs": ["type": "layers", "diff_ids": .array(diffIDs)],
        ]
        let own = Array(json.text().utf8)
        configuration = own
        let made = ImageManifest(
            configuration: ContentDescriptor(
                mediaType: MediaType.configuration, digest: digest(of: own, .sha256),
                size: own.count),
            layers: tars.map {
                ContentDescriptor(
                    mediaType: MediaType.layer, digest: digest(of: $0, .sha256), size: $0.count)
            })
        manifest = Array(made.json.text().utf8)
    }

    var descriptor: ContentDescriptor {
        ContentDescriptor(
            mediaType: MediaType.manifest, digest: manifestDigest, size: manifest.count,
            platform: .host)
    }

    /// Its name at a server.
    func reference(at server: ScriptedServer) throws -> ImageReference {
        try ImageReference("\(server.address)/\(repository):\(tag)")
    }

    /// What a good registry answers.
    func serve(_ call: ScriptedServer.Call, _ peer: ScriptedServer.Peer) {
        let base = "/v2/\(repository)"
        if call.path == "/v2/" { return peer.answer(200) }
        if ["\(base)/manifests/\(tag)", "\(base)/manifests/\(manifestDigest)"].contains(call.path) {
            return peer.answer(200, ["Content-Type": MediaType.manifest], manifest)
        }
        for blob in layers + [configuration]
        where call.path == "\(base)/blobs/\(digest(of: blob, .sha256))" {
            return serve(blob, call, peer)
        }
        peer.answer(404)
    }

    private func serve(_ blob: [UInt8], _ call: ScriptedServer.Call, _ peer: ScriptedServer.Peer) {
        guard let range = call.headers["range"], range.hasPrefix("bytes="),
            let start = Int(range.dropFirst(6).prefix { $0 != "-" })
        else { return peer.answer(200, [:], blob, isHead: call.method == "HEAD") }
        peer.answer(
            206, ["Content-Range": "bytes \(start)-\(blob.count - 1)/\(blob.count)"],
            Array(blob[start...]))
    }

    /// Whether the call is for the layer.
    func isLayer(_ call: ScriptedServer.Call, _ index: Int = 0) -> Bool {
        call.path.hasSuffix("/blobs/\(layerDigests[index])")
    }

    func isManifest(_ call: ScriptedServer.Call) -> Bool { call.path.contains("/manifests/") }
}

func randomWord() -> String {
    String((0..<8).compactMap { _ in "abcdefghijklmnopqrstuvwxyz".randomElement() })
}

func randomBytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
}

/// An archive of one file. See tar(5), "POSIX ustar Archives".
func tar(_ name: String, _ content: [UInt8]) -> [UInt8] {
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, at place: Int) {
        header.replaceSubrange(place..<(place + text.utf8.count), with: text.utf8)
    }
    func octal(_ number: Int, _ width: Int) -> String {
        let digits = String(number, radix: 8)
        return String(repeating: "0", count: width - digits.count) + digits
    }
    put(name, at: 0)
    put(octal(0o644, 7), at: 100)
    put(octal(0, 7), at: 108)
    put(octal(0, 7), at: 116)
    put(octal(content.count, 11), at: 124)
    put(octal(1_700_000_000, 11), at: 136)
    put("        ", at: 148)
    put("0", at: 156)
    put("ustar", at: 257)
    put("00", at: 263)
    put(octal(header.reduce(0) { $0 + Int($1) }, 6), at: 148)
    header[154] = 0
    let padding = [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    return header + content + padding + [UInt8](repeating: 0, count: 1024)
}

/// A state directory that goes with the test.
final class Place: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "/hull-registry-" + randomWord()
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var store: ContentStore { ContentStore(stateRoot: path) }

    /// As a pull does that is killed on the way.
    func leaveUnfinished(_ digest: Digest, _ bytes: ArraySlice<UInt8>) throws {
        let directory = path + "/images/ingest"
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: "\(directory)/sha256-\(digest.hex).part"))
    }

    /// What is not finished.
    var unfinished: [String] {
        let names = try? FileManager.default.contentsOfDirectory(atPath: path + "/images/ingest")
        return (names ?? []).filter { $0 != "lock" }
    }

    /// Every blob that is here.
    var blobs: Set<String> {
        let names = try? FileManager.default.contentsOfDirectory(
            atPath: path + "/images/blobs/sha256")
        return Set(names ?? [])
    }
}

/// Settings for a test: impatient where something is to fail, and nobody's passwords.
func settings(silence: Double = 20, retries: Int = 2, in place: Place) -> TransferSettings {
    var settings = TransferSettings()
    settings.silenceTimeout = silence
    settings.connectTimeout = min(10, silence * 2)
    settings.retries = retries
    settings.retryPause = 0.01
    settings.credentials = CredentialFiles(path: place.path + "/config.json")
    return settings
}

/// Pulls into the place.
@discardableResult
func pull(
    _ reference: ImageReference, into place: Place, _ settings: TransferSettings,
    change: (inout ImagePull) -> Void = { _ in }, observer: @escaping TransferObserver = { _ in }
) async throws -> ImagePull.Outcome {
    var pull = ImagePull(reference, stateRoot: place.path, settings: settings)
    change(&pull)
    return try await pull.run(observer: observer)
}
