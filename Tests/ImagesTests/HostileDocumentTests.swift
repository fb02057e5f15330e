import Foundation
import Kernel
import OCISpec
import Testing

@testable import Images

/// Documents made to do harm: by chance here, by design below.
///
/// The inputs are the same for the same seed: `HULL_FUZZ_SEED`; `HULL_FUZZ_INPUTS` tries more.
@Suite struct RandomDocumentTests {
    /// How many inputs each parser gets on every run of the tests.
    static let inputs = 10_000

    @Test func `No manifest makes the parser fail`() throws {
        try attack("manifest", [Samples.manifest, Samples.dockerManifest]) { bytes in
            let manifest = try ImageManifest(JSONReader(try JSON.parse(bytes)))
            #expect(try ImageManifest(JSONReader(try JSON.parse(manifest.json.text()))) == manifest)
            #expect(manifest.layers.reduce(0) { $0 + $1.size } >= 0)
        }
    }

    @Test func `No index makes the parser fail`() throws {
        try attack("index", [Samples.index]) { bytes in
            let index = try ImageIndex(JSONReader(try JSON.parse(bytes)))
            #expect(try ImageIndex(JSONReader(try JSON.parse(index.json.text()))) == index)
        }
    }

    @Test func `No configuration makes the parser fail`() throws {
        try attack("configuration", [Samples.configuration]) { bytes in
            let read = try ImageConfiguration(JSONReader(try JSON.parse(bytes)))
            #expect(try ImageConfiguration(JSONReader(try JSON.parse(read.json.text()))) == read)
        }
    }

    @Test func `No reference makes the parser fail`() throws {
        try attack("reference", Samples.references) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            let reference = try ImageReference(text)
            #expect(try ImageReference(reference.description) == reference)
            #expect(try ImageReference(reference.familiar) == reference)
            #expect(!reference.name.contains("..") && !reference.name.hasPrefix("/"))
        }
    }

    @Test func `No digest makes the parser fail, and none leads out of its directory`() throws {
        let store = ContentStore(stateRoot: "/nowhere")
        try attack("digest", Samples.digests) { bytes in
            let digest = try Digest(String(decoding: bytes, as: UTF8.self))
            #expect(try Digest(digest.description) == digest)
            let parts = store.blobPath(digest).split(separator: "/")
            #expect(parts.count == 5 && !parts.contains(".."))
        }
    }

    /// Tries mutations of `samples`, and random bytes. Each is taken or refused in one line.
    private func attack(
        _ kind: String, _ samples: [String], _ parse: ([UInt8]) throws -> Void
    ) throws {
        let environment = ProcessInfo.processInfo.environment
        let seed = environment["HULL_FUZZ_SEED"].flatMap(Int.init) ?? .random(in: 0..<1_000_000)
        let count = environment["HULL_FUZZ_INPUTS"].flatMap(Int.init) ?? Self.inputs
        var mutator = Mutator(SeededGenerator(seed: seed), samples.map { Array($0.utf8) })
        var taken = 0
        for number in 0..<count {
            let bytes = mutator.next()
            let start = ContinuousClock.now
            do {
                try parse(bytes)
                taken += 1
            } catch let error as SpecificationError {
                let line = "\(error.asKernelError(reading: "/blob"))"
                #expect(!line.contains { $0.isNewline } && line.utf8.count < 2000)
            }
            #expect(ContinuousClock.now - start < .seconds(10), "input \(number) of seed \(seed)")
        }
        print("hostile \(kind): \(count) inputs, \(taken) taken, seed \(seed)")
        // Were all refused, only the JSON would have been tried.
        #expect(taken > 0 && taken < count, "seed \(seed)")
    }
}

@Suite struct HostileDocumentTests {
    let scratch: TemporaryDirectory
    let store: ContentStore

    init() throws {
        scratch = try TemporaryDirectory()
        store = ContentStore(stateRoot: scratch.path)
    }

    /// Puts a document in the store under the name `evil`, and gives what comes of using it.
    private func refusal(_ text: String, type: String = MediaType.manifest) throws -> KernelError {
        try store.tag(try store.write(text.utf8, as: type), as: try ImageReference("evil"))
        let start = ContinuousClock.now
        let error = #expect(throws: KernelError.self) { try store.resolve("evil") }
        #expect(ContinuousClock.now - start < .seconds(20))
        // It does not hide the other images, and can be taken away.
        #expect(try store.images(Snapshots(stateRoot: scratch.path)).isEmpty)
        #expect(try store.remove("evil", force: false, user: { _ in nil }).untagged.count == 1)
        let line = "\(try #require(error))"
        #expect(!line.contains { $0.isNewline } && line.utf8.count < 1000, "\(line)")
        return try #require(error)
    }

    private func manifest(_ configuration: String, layers: String = "[]") throws -> String {
        let blob = try store.write(configuration.utf8, as: MediaType.configuration)
        return #"{"schemaVersion":2,"config":\#(blob.json.text()),"layers":\#(layers)}"#
    }

    private func layer(_ size: String, _ digest: String = Samples.digests[0]) -> String {
        #"{"mediaType":"x","digest":"\#(digest)","size":\#(size)}"#
    }

    @Test func `A manifest of megabytes is refused`() throws {
        let padding = String(repeating: " ", count: 5 << 20)
        #expect(try refusal(Samples.manifest + padding).errno.rawValue == EFBIG)
        let layers = repeatElement(layer("1"), count: 25_000).joined(separator: ",")
        let many = try manifest(Samples.configuration, layers: "[\(layers)]")
        #expect(try refusal(many).remedy.contains("25000 layers are more"))
    }

    @Test func `A hundred thousand annotations take no longer than they have to`() throws {
        let notes = (0..<100_000).map { #""note\#($0)":"""# }.joined(separator: ",")
        let text = #"{"schemaVersion":2,"manifests":[],"annotations":{\#(notes)}}"#
        let start = ContinuousClock.now
        let index = try ImageIndex(JSONReader(try JSON.parse(text)))
        #expect(index.annotations.entries.count == 100_000)
        #expect(index.annotations["note99999"] == "")
        #expect(ContinuousClock.now - start < .seconds(20))
    }

    @Test(arguments: [
        "-1", "-9223372036854775808", "9223372036854775807", "9223372036854775808", "1e3", "1.5",
        "\"1\"", "null", "{}", "1125899906842625",
    ])
    func `A size that is none is refused`(_ size: String) throws {
        let text = try manifest(Samples.configuration, layers: "[\(layer(size))]")
        let error = try refusal(text)
        #expect(error.errno.rawValue == EBADMSG)
        // By the JSON parser where it is no number of 64 bits.
        #expect(error.remedy.contains("layers[0].size: ") || error.remedy.contains("line 1"))
    }

    @Test(arguments: [
        "sha256:../../../../../../../../../../../../../../../../../../../etc/passwd0000",
        "sha256:" + String(repeating: "/", count: 64), "../" + Samples.digests[0],
        "sha256:" + String(repeating: "a", count: 63) + "/",
        "sha256:" + String(repeating: "A", count: 64), "sha256:", "", "md5:00",
        "sha512:" + String(repeating: "a", count: 64), Samples.digests[0] + "\\n",
        "sha256:" + String(repeating: "ü", count: 32),
    ])
    func `A digest that could be a path is refused`(_ digest: String) throws {
        let text = try manifest(Samples.configuration, layers: "[\(layer("1", digest))]")
        #expect(try refusal(text).remedy.contains("layers[0].digest: a digest is"))
    }

    @Test func `Layers and diff_ids that do not belong together are refused`() throws {
        let text = try manifest(Samples.configuration, layers: "[\(layer("1"))]")
        #expect(try refusal(text).remedy.contains("2 diff_ids for 1 layers"))
    }

    @Test func `A document that is a manifest and an index too is refused`() throws {
        let both = String(Samples.manifest.dropLast()) + #", "manifests": []}"#
        #expect(try refusal(both).remedy.contains("manifests: a manifest has layers"))
        let other = String(Samples.index.dropLast()) + #", "layers": []}"#
        #expect(try refusal(other, type: MediaType.index).remedy.contains("layers: "))
        #expect(try refusal(Samples.index).remedy.contains("mediaType"))
        #expect(try refusal(Samples.manifest, type: MediaType.index).remedy.contains("mediaType"))
    }

    @Test func `What is no image is refused by what it is`() throws {
        let chart = Samples.manifest.replacingOccurrences(
            of: MediaType.configuration, with: "application/vnd.cncf.helm.config.v1+json")
        #expect(try refusal(chart).remedy.contains("helm"))
        let first = #"{"schemaVersion": 1, "name": "x", "fsLayers": []}"#
        #expect(try refusal(first).remedy.contains("version 1 is not known"))
    }

    @Test func `Indexes in a circle are refused`() throws {
        // No digest can be made so; a store that somebody wrote in can hold it.
        let digest = try Digest(Samples.digests[0])
        func entry(_ size: Int) -> ContentDescriptor {
            ContentDescriptor(mediaType: MediaType.index, digest: digest, size: size)
        }
        try store.makeLayout()
        var text = ""
        // The size stands in the document itself.
        for _ in 0..<3 {
            let index = ImageIndex(manifests: [entry(text.utf8.count), entry(text.utf8.count)])
            text = index.json.text()
        }
        try replaceFile(store.blobPath(digest), with: text.utf8)
        try store.tag(entry(text.utf8.count), as: try ImageReference("circle"))
        let error = #expect(throws: KernelError.self) { try store.resolve("circle") }
        #expect(error?.remedy.contains("more than 4 deep") == true)
        let freed = try GarbageCollector(stateRoot: scratch.path).collect(
            takesDownloads: true, patience: 1, inUse: { ImagesInUse() })
        #expect(freed?.blobs == 0)
        #expect(throws: KernelError.self) { try store.verify(image: entry(text.utf8.count)) }
    }

    @Test func `Indexes that fan out are given up`() throws {
        var below = ContentDescriptor(
            mediaType: MediaType.manifest, digest: try Digest(Samples.digests[0]), size: 1)
        for _ in 0..<3 {
            let index = ImageIndex(manifests: Array(repeating: below, count: 200))
            below = try store.write(index.json, as: MediaType.index)
        }
        let text = ImageIndex(manifests: Array(repeating: below, count: 200)).json.text()
        #expect(try refusal(text, type: MediaType.index).remedy.contains("more than 1000"))
    }

    @Test func `The same layer twice is no harm`() throws {
        try makeTree(scratch / "tree")
        let importer = ImageImporter(stateRoot: scratch.path)
        _ = try importer.import(from: .directory(scratch / "tree"), as: try .parse("a"))
        let image = try store.resolve("a")
        var configuration = image.configuration
        configuration.diffIDs += configuration.diffIDs
        let blob = try store.write(configuration.json, as: MediaType.configuration)
        let twice = ImageManifest(
            configuration: blob, layers: image.manifest.layers + image.manifest.layers)
        try store.tag(
            try store.write(twice.json, as: MediaType.manifest), as: try .parse("b"))
        let snapshots = Snapshots(stateRoot: scratch.path)
        let found = try store.resolve("b")
        let lower = try snapshots.lowerDirectories(for: found, in: store)
        #expect(Set(lower).count == 2)
        #expect(try store.verify(image: found.entry) == 3)
    }

    @Test func `An index file that was damaged is named, and nothing is written over it`() throws {
        try store.tag(nil)
        let path = store.path + "/index.json"
        var mutator = Mutator(SeededGenerator(seed: 1), [Array(Samples.index.utf8)])
        for _ in 0..<300 {
            let bytes = mutator.next()
            try replaceFile(path, with: bytes, durable: false)
            do throws(KernelError) {
                _ = try store.index()
                _ = try store.images(Snapshots(stateRoot: scratch.path))
            } catch {
                #expect(error.object == path)
                #expect(throws: KernelError.self) { try store.tag(nil) }
                #expect(try readFile(path) == bytes)
            }
        }
    }
}

extension ContentStore {
    /// Tags a blob of no worth.
    fileprivate func tag(_ name: String?) throws {
        let blob = try write([1], as: MediaType.manifest)
        try tag(blob, as: try ImageReference(name ?? "name"))
    }
}

/// Documents as they should be.
private enum Samples {
    static let digests = [
        "sha256:" + String(repeating: "0a", count: 32),
        "sha512:" + String(repeating: "1b", count: 64),
    ]

    static let references = [
        "busybox", "docker.io/library/busybox:1.36.1", "localhost:5000/a/b_c/d-e.f:v1.0",
        "[2001:db8::1]:5000/x@" + digests[0], "registry.example/team/app:tag@" + digests[1],
    ]

    static let manifest = """
        {"schemaVersion": 2, "mediaType": "\(MediaType.manifest)",
         "config": {"mediaType": "\(MediaType.configuration)", "digest": "\(digests[0])", "size": 7},
         "layers": [
          {"mediaType": "\(MediaType.gzipLayer)", "digest": "\(digests[0])", "size": 32654},
          {"mediaType": "\(MediaType.zstdLayer)", "digest": "\(digests[1])", "size": 1,
           "annotations": {"a": "b"}}],
         "subject": {"mediaType": "\(MediaType.manifest)", "digest": "\(digests[0])", "size": 9},
         "annotations": {"org.example.key": "välue", "other": ""}}
        """

    static let dockerManifest = """
        {"schemaVersion": 2, "mediaType": "\(MediaType.dockerManifest)",
         "config": {"mediaType": "\(MediaType.dockerConfiguration)", "digest": "\(digests[0])",
          "size": 1}, "layers": [{"mediaType": "\(MediaType.dockerLayer)",
          "digest": "\(digests[0])", "size": 2, "urls": ["https://a.example"]}]}
        """

    static let index = """
        {"schemaVersion": 2, "mediaType": "\(MediaType.index)", "manifests": [
          {"mediaType": "\(MediaType.manifest)", "digest": "\(digests[0])", "size": 400,
           "platform": {"architecture": "amd64", "os": "linux"}},
          {"mediaType": "\(MediaType.manifest)", "digest": "\(digests[0])", "size": 400,
           "annotations": {"org.opencontainers.image.ref.name": "docker.io/library/a:b"},
           "platform": {"architecture": "arm", "os": "linux", "variant": "v7"}}],
         "annotations": {"k": "v"}}
        """

    static let configuration = """
        {"created": "2026-01-31T12:00:00.5Z", "author": "a", "architecture": "amd64",
         "os": "linux", "config": {"User": "1:2", "ExposedPorts": {"80/tcp": {}},
          "Env": ["PATH=/bin", "A=b"], "Entrypoint": ["/bin/sh"], "Cmd": ["-c", "x"],
          "Volumes": {"/data": {}}, "WorkingDir": "/srv", "Labels": {"a": "b"},
          "StopSignal": "SIGTERM"},
         "rootfs": {"type": "layers", "diff_ids": ["\(digests[0])", "\(digests[1])"]},
         "history": [{"created": "2026-01-31T12:00:00Z", "created_by": "x", "comment": "y"},
          {"empty_layer": true}]}
        """
}

/// Makes hostile inputs out of good ones.
private struct Mutator {
    private var random: SeededGenerator
    private let samples: [[UInt8]]

    init(_ random: SeededGenerator, _ samples: [[UInt8]]) {
        self.random = random
        self.samples = samples
    }

    mutating func next() -> [UInt8] {
        if Int.random(in: 0..<20, using: &random) == 0 {
            return (0..<Int.random(in: 0...200, using: &random)).map { _ in byte() }
        }
        var bytes = samples.randomElement(using: &random) ?? []
        // Often a single one, which gets deep into the parser.
        for _ in 0..<([1, 1, 1, 2, 4, 8].randomElement(using: &random) ?? 1) { mutate(&bytes) }
        return bytes
    }

    private mutating func byte() -> UInt8 { .random(in: 0...255, using: &random) }

    private mutating func range(in bytes: [UInt8]) -> Range<Int> {
        let start = Int.random(in: 0...bytes.count, using: &random)
        let length = Int.random(in: 0...16, using: &random)
        return start..<min(bytes.count, start + length)
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        let place = range(in: bytes)
        switch Int.random(in: 0..<8, using: &random) {
        case 0: if !place.isEmpty { bytes[place.lowerBound] = byte() }
        case 1:
            if !place.isEmpty {
                bytes[place.lowerBound] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            }
        case 2: bytes.removeSubrange(place)
        case 3: bytes.insert(contentsOf: bytes[place], at: place.lowerBound)
        case 4: bytes.removeSubrange(place.lowerBound...)
        case 5: replaceNumber(&bytes)
        case 6: replaceWord(&bytes)
        default: bytes.insert(contentsOf: oddity(), at: place.lowerBound)
        }
    }

    /// A number for another: negative, beyond 64 bits, a fraction.
    private mutating func replaceNumber(_ bytes: inout [UInt8]) {
        let numbers = [
            "-1", "0", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
            "99999999999999999999999999", "1e400", "-0", "0.1", "1E5", "2", "01",
        ]
        replace(&bytes, by: numbers) { (48...57).contains($0) }
    }

    /// A word for another: another type, a path, a terminal's escapes.
    private mutating func replaceWord(_ bytes: inout [UInt8]) {
        let words = [
            "null", "true", "../../etc/passwd", "\\u0000", "\\u001b[2J", "\\n", "sha256", "sha512",
            "mediaType", "digest", "size", "unknown", "", "layers", "manifests", "config",
            "a\\\\b", "\\ud800", String(repeating: "x", count: 5000),
        ]
        replace(&bytes, by: words) { (97...122).contains($0 | 32) || (48...57).contains($0) }
    }

    private mutating func replace(
        _ bytes: inout [UInt8], by others: [String], where isPart: (UInt8) -> Bool
    ) {
        let starts = bytes.indices.filter {
            isPart(bytes[$0]) && ($0 == 0 || !isPart(bytes[$0 - 1]))
        }
        guard let start = starts.randomElement(using: &random) else { return }
        let end = bytes[start...].firstIndex { !isPart($0) } ?? bytes.endIndex
        bytes.replaceSubrange(start..<end, with: (others.randomElement(using: &random) ?? "").utf8)
    }

    private mutating func oddity() -> [UInt8] {
        let depth = Int.random(in: 1...3000, using: &random)
        let oddities: [[UInt8]] = [
            Array(repeating: UInt8(ascii: "["), count: depth), Array("{}".utf8), Array("[]".utf8),
            Array(#""size":-5,"#.utf8), Array(#""digest":"sha256:..","#.utf8), [0], [0xFF, 0xFE],
            Array("\u{202E}".utf8), Array(":".utf8), Array("@".utf8), Array("/".utf8),
            Array("..".utf8), Array(",".utf8), Array(#"\""#.utf8),
        ]
        return oddities.randomElement(using: &random) ?? []
    }
}

/// Gives the same numbers for the same seed (SplitMix64), so that a run can be done again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: Int) { state = UInt64(truncatingIfNeeded: seed) }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
