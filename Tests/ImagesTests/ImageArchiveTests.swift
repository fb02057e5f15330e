import Foundation
import Glibc
import Kernel
import OCISpec
import Testing

@testable import Images

/// An archive as a list of its members, which a test can change before it is written.
struct TestArchive {
    struct Member {
        var path: String
        var kind: TarEntry.Kind
        var content: [UInt8] = []
    }

    var members: [Member] = []

    /// Adds a file, or replaces the one of that name.
    mutating func put(_ path: String, _ content: some Collection<UInt8>) {
        members.removeAll { $0.path == path }
        append(path, content)
    }

    mutating func append(_ path: String, _ content: some Collection<UInt8>) {
        members.append(
            Member(path: path, kind: .regular(size: content.count), content: Array(content)))
    }

    mutating func link(_ path: String, to target: String, isHard: Bool = false) {
        let target = FileName(target.utf8)
        members.removeAll { $0.path == path }
        members.append(
            Member(
                path: path, kind: isHard ? .hardLink(target: target) : .symbolicLink(target: target)
            ))
    }

    mutating func remove(_ path: String) { members.removeAll { $0.path == path } }

    func bytes() throws(KernelError) -> [UInt8] {
        let sink = MemorySink()
        let writer = TarWriter(sink)
        for member in members {
            try writer.append(entry(member.path, member.kind))
            guard case .regular(let size) = member.kind else { continue }
            try member.content.withUnsafeBufferPointer { bytes throws(KernelError) in
                try writer.writeContent(UnsafeRawBufferPointer(bytes))
            }
            try writer.endContent(size: size)
        }
        try writer.finish()
        return sink.bytes
    }
}

/// Keeps what is written.
final class MemorySink: ByteSink {
    private(set) var bytes: [UInt8] = []
    func write(_ piece: UnsafeRawBufferPointer) { bytes += piece }
}

/// An image of random content, for archives by hand.
struct TestImage {
    let name = "localhost/\(randomName()):v\(Int.random(in: 1...99))"
    var layers: [[UInt8]] = []
    var configuration: [UInt8] = []
    var id: Digest { digest(of: configuration) }

    init(layers count: Int = 2) throws(KernelError) {
        for _ in 0..<count {
            var layer = TestArchive()
            layer.append("file-\(randomName())", randomName().utf8)
            layers.append(try layer.bytes())
        }
        let diffIDs = layers.map { "\"\(digest(of: $0))\"" }.joined(separator: ",")
        configuration = Array(
            """
            {"unknown": "\(randomName())", "architecture":"\(Platform.host.architecture)",
            "os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[\(diffIDs)]}}
            """.utf8)
    }

    /// As `docker save` wrote it up to version 24.
    func dockerArchive() -> TestArchive {
        var archive = TestArchive()
        archive.append("\(id.hex).json", configuration)
        for (number, layer) in layers.enumerated() { archive.append("\(number)/layer.tar", layer) }
        archive.append("manifest.json", dockerList().utf8)
        return archive
    }

    func dockerList(config: String? = nil, layers paths: [String]? = nil) -> String {
        let paths = paths ?? layers.indices.map { "\($0)/layer.tar" }
        return JSON.array([
            [
                "Config": .string(config ?? "\(id.hex).json"), "RepoTags": .strings([name]),
                "Layers": .strings(paths),
            ]
        ]).text()
    }

    /// As an OCI image layout.
    func layout(_ algorithm: Digest.Algorithm = .sha256) -> TestArchive {
        var archive = TestArchive()
        let config = archive.addBlob(configuration, MediaType.configuration, algorithm)
        let blobs = layers.map { archive.addBlob($0, MediaType.layer, algorithm) }
        let manifest = ImageManifest(configuration: config, layers: blobs)
        let entry = archive.addBlob(
            Array(manifest.json.text().utf8), MediaType.manifest, algorithm)
        archive.append("oci-layout", #"{"imageLayoutVersion":"1.0.0"}"#.utf8)
        archive.setIndex([entry], named: name)
        return archive
    }
}

extension TestArchive {
    mutating func addBlob(
        _ bytes: [UInt8], _ mediaType: String, _ algorithm: Digest.Algorithm = .sha256
    ) -> ContentDescriptor {
        let digest = digest(of: bytes, algorithm)
        put("blobs/\(algorithm.name)/\(digest.hex)", bytes)
        return ContentDescriptor(mediaType: mediaType, digest: digest, size: bytes.count)
    }

    mutating func setIndex(_ entries: [ContentDescriptor], named name: String? = nil) {
        var entries = entries
        for position in entries.indices {
            entries[position].annotations["org.opencontainers.image.ref.name"] = name
        }
        put("index.json", ImageIndex(manifests: entries).json.text().utf8)
    }
}

/// A store in a directory of its own.
final class TestStore {
    let directory: TemporaryDirectory
    let store: ContentStore

    init() throws {
        directory = try TemporaryDirectory()
        store = ContentStore(stateRoot: directory.path)
    }

    @discardableResult
    func load(_ archive: TestArchive) throws -> [ImageLoader.Loaded] {
        let file = directory / "archive-\(randomName())"
        try Data(archive.bytes()).write(to: URL(fileURLWithPath: file))
        defer { unlink(file) }
        return try ImageLoader(into: store).load(from: .file(file))
    }

    func save(_ names: String..., as format: ImageSaver.Format = .docker) throws -> [UInt8] {
        let sink = MemorySink()
        try ImageSaver(from: store, as: format).save(names, to: sink)
        return sink.bytes
    }

    /// All blobs that are there, and what is left of what was to become one.
    var blobs: [String] {
        ["sha256", "sha512"].flatMap { name in
            (try? namesInDirectory(store.path + "/blobs/" + name)) ?? []
        }
    }

    var remains: [String] {
        ((try? namesInDirectory(store.path + "/ingest")) ?? []).filter { $0 != "lock" }
    }

    /// Expects that loading fails by one line that says `text`, and leaves nothing.
    func expectRefusal(
        of archive: TestArchive, saying text: String,
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        let error = #expect(throws: KernelError.self, sourceLocation: location) {
            try load(archive)
        }
        let line = error?.description ?? ""
        #expect(text.isEmpty || line.contains(text), "\(line)", sourceLocation: location)
        #expect(!line.contains("\n") && line.count < 700, "\(line)", sourceLocation: location)
        expectEmpty(location)
    }

    func expectEmpty(_ location: SourceLocation = #_sourceLocation) {
        #expect(blobs == [], sourceLocation: location)
        #expect(remains == [], sourceLocation: location)
        #expect((try? store.index().manifests.count) == 0, sourceLocation: location)
    }
}

/// What is loaded and saved when all is well.
@Suite struct ImageArchiveTests {
    @Test func `docker's old archive becomes an image with the configuration's digest`() throws {
        let image = try TestImage()
        let (one, other) = (try TestStore(), try TestStore())
        let loaded = try one.load(image.dockerArchive())
        #expect(loaded.map(\.id) == [image.id])
        #expect(loaded[0].references.map(\.description) == [image.name])
        #expect(try one.store.resolve(image.name).manifest.layers.count == 2)
        try other.load(image.dockerArchive())
        #expect(try one.store.index() == other.store.index(), "the manifest differs")
        #expect(one.remains == [])
    }

    @Test(arguments: [true, false])
    func `links between layers are followed inside of the archive`(_ isHard: Bool) throws {
        let image = try TestImage(layers: 1)
        var archive = image.dockerArchive()
        archive.remove("0/layer.tar")
        archive.append("./deep/er/real.tar", image.layers[0])
        archive.link(
            "0/first.tar", to: isHard ? "deep/er/real.tar" : "../deep/er/./real.tar", isHard: isHard
        )
        archive.link("0/layer.tar", to: isHard ? "./0/first.tar" : "first.tar", isHard: isHard)
        #expect(try TestStore().load(archive).map(\.id) == [image.id])
    }

    @Test(arguments: [Digest.Algorithm.sha256, .sha512])
    func `a layout keeps its digests`(_ algorithm: Digest.Algorithm) throws {
        let image = try TestImage()
        let store = try TestStore()
        let archive = image.layout(algorithm)
        try store.load(archive)
        let index = archive.members.first { $0.path == "index.json" }?.content ?? []
        let entry = try ImageIndex(JSONReader(JSON.parse(index))).manifests[0]
        let kept = try store.store.index().manifests
        #expect(kept.map(\.digest) == [entry.digest])
        #expect(kept[0].tag == image.name)
        #expect(try store.store.resolve(image.name).manifest.layers.count == 2)
    }

    @Test func `a tag alone is no name`() throws {
        let image = try TestImage()
        let store = try TestStore()
        var archive = image.layout()
        let manifest = try #require(archive.members.last { $0.path.hasPrefix("blobs/") })
        archive.setIndex(
            [
                ContentDescriptor(
                    mediaType: "", digest: digest(of: manifest.content),
                    size: manifest.content.count)
            ], named: "latest")
        let loaded = try store.load(archive)
        #expect(loaded.map(\.id) == [image.id])
        #expect(loaded[0].references == [])
        #expect(try store.store.resolve(image.id.description).id == image.id)
    }

    @Test(arguments: [ImageSaver.Format.docker, .oci])
    func `what is saved is the same to the byte, there and back`(
        _ format: ImageSaver.Format
    ) throws {
        let image = try TestImage()
        let (one, other) = (try TestStore(), try TestStore())
        try one.load(image.dockerArchive())
        let saved = try one.save(image.name, as: format)
        let file = other.directory / "saved"
        try Data(saved).write(to: URL(fileURLWithPath: file))
        _ = try ImageLoader(into: other.store).load(from: .file(file))
        #expect(try other.save(image.name, as: format) == saved)
        #expect(try other.store.resolve(image.name).id == image.id)
        #expect(Set(one.blobs) == Set(other.blobs))
    }

    @Test func `an image that is asked for by its id has no name in the archive`() throws {
        let image = try TestImage()
        let (one, other) = (try TestStore(), try TestStore())
        try one.load(image.dockerArchive())
        let file = other.directory / "saved"
        try Data(one.save(image.id.short)).write(to: URL(fileURLWithPath: file))
        let loaded = try ImageLoader(into: other.store).load(from: .file(file))
        #expect(loaded.map(\.id) == [image.id])
        #expect(loaded[0].references == [])
    }

    @Test func `a blob that was changed on disk is not saved, and no file is there`() throws {
        let image = try TestImage()
        let one = try TestStore()
        try one.load(image.dockerArchive())
        let layer = one.store.blobPath(digest(of: image.layers[1]))
        try shell("chmod u+w '\(layer)'; printf X | dd of='\(layer)' conv=notrunc seek=700 bs=1")
        let place = try TemporaryDirectory()
        let error = #expect(throws: KernelError.self) {
            let file = try OutputFile(place / "out.tar")
            try ImageSaver(from: one.store, as: .docker).save([image.name], to: file)
            try file.commit()
        }
        #expect(error?.description.contains(digest(of: image.layers[1]).hex) == true)
        #expect(try namesInDirectory(place.path) == [])
        // Loading it once more makes the store whole again.
        try one.load(image.dockerArchive())
        _ = try one.save(image.name)
    }

    @Test func `a file is there when it is whole, and not before`() throws {
        let place = try TemporaryDirectory()
        try shell("echo old > '\(place / "out")'")
        let file = try OutputFile(place / "out")
        let text = randomName()
        try Array(text.utf8).withUnsafeBufferPointer { bytes throws(KernelError) in
            try file.write(UnsafeRawBufferPointer(bytes))
        }
        #expect(try readText(place / "out") == "old\n")
        #expect(try namesInDirectory(place.path) == ["out"])
        try file.commit()
        #expect(try readText(place / "out") == text)
        #expect(try namesInDirectory(place.path) == ["out"])
    }

    @Test func `several machines' images in one index: what is here is saved`() throws {
        let image = try TestImage()
        var archive = image.layout()
        let own = try manifest(of: archive)
        var here = own
        here.platform = .host
        var elsewhere = ContentDescriptor(
            mediaType: MediaType.manifest, digest: digest(of: randomName().utf8), size: 12)
        elsewhere.platform = Platform(architecture: "s390x", os: "linux")
        let index = archive.addBlob(
            Array(ImageIndex(manifests: [elsewhere, here]).json.text().utf8), MediaType.index)
        archive.setIndex([index], named: image.name)
        let (one, other) = (try TestStore(), try TestStore())
        #expect(try one.load(archive).map(\.id) == [image.id])
        let file = other.directory / "saved"
        try Data(one.save(image.name)).write(to: URL(fileURLWithPath: file))
        #expect(try ImageLoader(into: other.store).load(from: .file(file)).map(\.id) == [image.id])
        #expect(try other.store.index().manifests.map(\.digest) == [index.digest])
    }
}

private func manifest(of archive: TestArchive) throws -> ContentDescriptor {
    let index = archive.members.first { $0.path == "index.json" }?.content ?? []
    return try ImageIndex(JSONReader(JSON.parse(index))).manifests[0]
}

private func gzip(_ bytes: [UInt8]) throws(KernelError) -> [UInt8] {
    let packed = MemorySink()
    let sink = GzipSink(packed)
    try bytes.withUnsafeBufferPointer { bytes throws(KernelError) in
        try sink.write(UnsafeRawBufferPointer(bytes))
    }
    try sink.finish()
    return packed.bytes
}

/// Archives that are wrong, by accident or on purpose: one line each, and nothing is left.
@Suite struct HostileImageArchiveTests {
    @Test(arguments: ["../../etc/passwd", "/etc/passwd", "0/../../../etc/passwd", ".."])
    func `a configuration outside of the archive is not read`(_ path: String) throws {
        let image = try TestImage()
        var archive = image.dockerArchive()
        archive.put("manifest.json", image.dockerList(config: path).utf8)
        try TestStore().expectRefusal(of: archive, saying: "leads out of it")
    }

    @Test(arguments: ["/etc/passwd", "../../etc/passwd", "../0/../../etc/passwd"])
    func `a layer that is a link out of the archive is not read`(_ target: String) throws {
        let image = try TestImage()
        var archive = image.dockerArchive()
        archive.link("0/layer.tar", to: target)
        try TestStore().expectRefusal(of: archive, saying: "leads out of it")
    }

    @Test func `links in a circle end`() throws {
        let image = try TestImage()
        var archive = image.dockerArchive()
        archive.link("0/layer.tar", to: "../1/layer.tar")
        archive.link("1/layer.tar", to: "../0/layer.tar")
        try TestStore().expectRefusal(of: archive, saying: "leads to itself")
    }

    @Test func `a missing piece is named`() throws {
        let image = try TestImage()
        for path in ["1/layer.tar", "\(image.id.hex).json"] {
            var archive = image.dockerArchive()
            archive.remove(path)
            try TestStore().expectRefusal(of: archive, saying: "missing: '\(path)'")
        }
        for member in image.layout().members where member.path.hasPrefix("blobs/") {
            var archive = image.layout()
            archive.remove(member.path)
            try TestStore().expectRefusal(of: archive, saying: "missing: '\(member.path)'")
        }
    }

    @Test func `digests that lie are found out`() throws {
        let image = try TestImage()
        var archive = image.dockerArchive()
        archive.put("0/layer.tar", try TestImage(layers: 1).layers[0])
        try TestStore().expectRefusal(
            of: archive, saying: "not what the image's configuration says")

        archive = image.dockerArchive()
        archive.put("\(image.id.hex).json", try TestImage().configuration)
        try TestStore().expectRefusal(of: archive, saying: "has another digest")

        for member in image.layout().members where member.path.hasPrefix("blobs/") {
            var archive = image.layout()
            var content = member.content
            content[content.count / 2] ^= 1
            archive.put(member.path, content)
            try TestStore().expectRefusal(of: archive, saying: "has another digest")
            archive.put(member.path, member.content.dropLast())
            try TestStore().expectRefusal(of: archive, saying: "has another digest")
        }
    }

    @Test func `a layer that is compressed is held to its content too`() throws {
        let image = try TestImage(layers: 1)
        let other = try TestImage(layers: 1)
        for (layer, isRight) in [(image.layers[0], true), (other.layers[0], false)] {
            var archive = image.dockerArchive()
            archive.put("0/layer.tar", try gzip(layer))
            if isRight {
                #expect(try TestStore().load(archive).map(\.id) == [image.id])
            } else {
                try TestStore().expectRefusal(
                    of: archive, saying: "not what the image's configuration says")
            }
        }
    }

    @Test func `two files of one name are not chosen from`() throws {
        let image = try TestImage()
        var archive = image.dockerArchive()
        archive.append("./0//layer.tar", try TestImage(layers: 1).layers[0])
        try TestStore().expectRefusal(of: archive, saying: "two different files")
        // The same twice is no harm: tar appends so.
        archive = image.dockerArchive()
        archive.append("0/layer.tar", image.layers[0])
        #expect(try TestStore().load(archive).map(\.id) == [image.id])
    }

    @Test func `lists that are no lists are refused`() throws {
        let image = try TestImage()
        let texts = [
            "", "{}", "[]", "[1]", "null", "[{}]", #"[{"Config": 1}]"#, "\u{0}", "[[[[",
            String(repeating: "[", count: 200) + String(repeating: "]", count: 200),
            #"[{"Config":"\#(image.id.hex).json","Layers":[]}]"#,
            #"[{"Config":"\#(image.id.hex).json","Layers":["0/layer.tar","1/layer.tar"],"RepoTags":["A B"]}]"#,
            #"[{"Config":"manifest.json","Layers":[]}]"#,
            #"[{"Config":"0","Layers":["\u001b[31m\n"]}]"#,
        ]
        for text in texts {
            var archive = image.dockerArchive()
            archive.put("manifest.json", text.utf8)
            try TestStore().expectRefusal(of: archive, saying: "")
            archive = image.layout()
            archive.put("index.json", text.utf8)
            try TestStore().expectRefusal(of: archive, saying: "")
        }
    }

    @Test func `a manifest of megabytes is not read`() throws {
        let image = try TestImage()
        let spaces = [UInt8](repeating: UInt8(ascii: " "), count: 5 << 20)
        for (path, archive) in [
            ("manifest.json", image.dockerArchive()), ("index.json", image.layout()),
            ("\(image.id.hex).json", image.dockerArchive()),
        ] {
            var archive = archive
            archive.put(path, spaces)
            try TestStore().expectRefusal(of: archive, saying: path.count > 60 ? "digest" : "4 MiB")
        }
    }

    @Test func `indexes in indexes end, and so do files`() throws {
        let image = try TestImage()
        var archive = image.layout()
        var entry = try manifest(of: archive)
        for _ in 0..<6 {
            entry = archive.addBlob(
                Array(ImageIndex(manifests: [entry]).json.text().utf8), MediaType.index)
        }
        archive.setIndex([entry])
        try TestStore().expectRefusal(of: archive, saying: "deep")

        archive = image.layout()
        archive.setIndex(Array(repeating: try manifest(of: archive), count: 1001))
        try TestStore().expectRefusal(of: archive, saying: "1000 manifests")

        archive = image.dockerArchive()
        for number in 0..<20_000 {
            archive.members.append(
                .init(path: "\(number)", kind: .symbolicLink(target: [UInt8(ascii: "x")])))
        }
        try TestStore().expectRefusal(of: archive, saying: "20000 files")
    }

    @Test func `a bomb is put out at the limit, in the archive and in a layer`() throws {
        let image = try TestImage(layers: 1)
        let zeros = [UInt8](repeating: 0, count: 16 << 20)
        var inLayer = image.dockerArchive()
        inLayer.put("0/layer.tar", try gzip(zeros))
        var inArchive = image.dockerArchive()
        inArchive.put("zeros", zeros)
        for bytes in [try inLayer.bytes(), try gzip(inArchive.bytes())] {
            #expect(bytes.count < 1 << 20)
            let store = try TestStore()
            let file = store.directory / "archive"
            try Data(bytes).write(to: URL(fileURLWithPath: file))
            var small = UnpackLimits()
            small.size = 8 << 20
            let loader = ImageLoader(into: store.store, limits: small)
            let error = #expect(throws: KernelError.self) {
                try loader.load(from: .file(file))
            }
            #expect(error?.errno == Errno(rawValue: EFBIG), "\(String(describing: error))")
            store.expectEmpty()
        }
    }

    @Test func `what is no image is said to be none`() throws {
        var archive = TestArchive()
        archive.append("etc/passwd", "root:x".utf8)
        try TestStore().expectRefusal(of: archive, saying: "hull image import")

        let config = archive.addBlob(Array("{}".utf8), "application/vnd.oci.empty.v1+json")
        let manifest = ImageManifest(configuration: config, layers: [config])
        archive.setIndex([
            archive.addBlob(Array(manifest.json.text().utf8), MediaType.manifest)
        ])
        try TestStore().expectRefusal(of: archive, saying: "no image")
    }

    @Test func `a manifest that says it is something else is refused`() throws {
        let image = try TestImage()
        var archive = image.layout()
        var entry = try manifest(of: archive)
        entry.mediaType = MediaType.index
        archive.setIndex([entry])
        try TestStore().expectRefusal(of: archive, saying: "says it is")
    }

    @Test func `this machine's image has to be whole`() throws {
        let image = try TestImage()
        var archive = image.layout()
        var entry = try manifest(of: archive)
        entry.platform = .host
        let index = archive.addBlob(
            Array(ImageIndex(manifests: [entry]).json.text().utf8), MediaType.index)
        archive.setIndex([index])
        archive.remove("blobs/sha256/\(digest(of: image.layers[0]).hex)")
        try TestStore().expectRefusal(of: archive, saying: "missing")
    }

    // Directories

    @Test func `links in a directory are followed inside of it and refused outside`() throws {
        let image = try TestImage()
        let place = try TemporaryDirectory()
        let secret = place / "secret"
        for (target, isFine) in [("../inside", true), (secret, false), ("../../secret", false)] {
            let directory = place / "archive-\(randomName())"
            try write(image.dockerArchive(), into: directory)
            try shell(
                """
                cp '\(directory)/0/layer.tar' '\(directory)/inside'; cp '\(directory)/inside' '\(secret)'
                ln -sf '\(target)' '\(directory)/0/layer.tar'
                """)
            let store = try TestStore()
            let loader = ImageLoader(into: store.store)
            if isFine {
                #expect(try loader.load(from: .directory(directory)).map(\.id) == [image.id])
            } else {
                let error = #expect(throws: KernelError.self) {
                    try loader.load(from: .directory(directory))
                }
                #expect(error?.description.contains("leads out of it") == true)
                store.expectEmpty()
            }
        }
    }

    @Test func `a FIFO in a directory is not waited for`() throws {
        let image = try TestImage()
        let place = try TemporaryDirectory()
        let directory = place / "archive"
        try write(image.dockerArchive(), into: directory)
        try shell("cd '\(directory)/0'; rm layer.tar; mkfifo layer.tar")
        let store = try TestStore()
        let error = #expect(throws: KernelError.self) {
            try ImageLoader(into: store.store).load(from: .directory(directory))
        }
        #expect(error?.description.contains("no regular file") == true)
        store.expectEmpty()
    }

    private func write(_ archive: TestArchive, into directory: String) throws {
        let file = directory + ".tar"
        try Data(archive.bytes()).write(to: URL(fileURLWithPath: file))
        try shell("mkdir '\(directory)'; tar -C '\(directory)' -xf '\(file)'")
    }

    // By chance

    @Test func `an archive with random damage is loaded whole or not at all`() throws {
        let image = try TestImage()
        let archives = [try image.dockerArchive().bytes(), try image.layout().bytes()]
        let store = try TestStore()
        let file = store.directory / "archive"
        for round in 0..<400 {
            var bytes = archives[round % 2]
            damage(&bytes)
            try Data(bytes).write(to: URL(fileURLWithPath: file))
            expectWholeOrRefused(file, store, image)
            #expect(store.remains == [])
            for entry in try store.store.index().manifests {
                for layer in try store.store.load(entry).manifest.layers {
                    try store.store.verify(layer.digest, size: layer.size)
                }
            }
        }
    }

    private func expectWholeOrRefused(_ file: String, _ store: TestStore, _ image: TestImage) {
        do throws(KernelError) {
            let images = try ImageLoader(into: store.store).load(from: .file(file))
            #expect(images.allSatisfy { $0.id == image.id })
        } catch {
            #expect(!error.description.contains("\n"))
        }
    }

    private func damage(_ bytes: inout [UInt8]) {
        let position = Int.random(in: 0..<bytes.count)
        switch Int.random(in: 0..<5) {
        case 0: bytes.removeLast(bytes.count - position)
        case 1: bytes[position] ^= UInt8.random(in: 1...255)
        case 2:
            let end = min(bytes.count, position + Int.random(in: 1...2048))
            bytes.removeSubrange(position..<end)
        case 3: bytes.insert(contentsOf: bytes[..<position].suffix(1024), at: position)
        default:
            for _ in 0..<20 { bytes[Int.random(in: 0..<bytes.count)] = UInt8.random(in: 0...255) }
        }
    }
}
