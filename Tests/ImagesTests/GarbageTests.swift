import Foundation
import Kernel
import OCISpec
import Testing

@testable import Images

@Suite struct GarbageTests {
    let scratch: TemporaryDirectory
    let store: ContentStore
    let snapshots: Snapshots

    init() throws {
        scratch = try TemporaryDirectory()
        store = ContentStore(stateRoot: scratch.path)
        snapshots = Snapshots(stateRoot: scratch.path)
    }

    /// Imports a directory with one file of this content: the same content, the same layer.
    @discardableResult
    private func image(_ name: String, _ content: String = randomName()) throws -> Image {
        let tree = scratch / "tree-\(content)"
        if fileType(tree) == nil {
            try makeDirectory(tree, why: "a test")
            try replaceFile(tree + "/file", with: content.utf8)
        }
        _ = try ImageImporter(stateRoot: scratch.path).import(
            from: .directory(tree), as: try .parse(name), changes: ["LABEL name=\(name)"],
            created: Timestamp(seconds: 0))
        return try store.resolve(name)
    }

    private func collect(
        downloads: Bool = false, patience: Double = 5, keeping inUse: ImagesInUse = ImagesInUse(),
        removing isUnwanted: (ContentDescriptor) -> Bool = { _ in false }
    ) throws -> GarbageFreed? {
        try GarbageCollector(stateRoot: scratch.path).collect(
            takesDownloads: downloads, patience: patience, removing: isUnwanted, inUse: { inUse })
    }

    private func isWhole(_ image: Image) -> Bool {
        let chains = Snapshots.chainIDs(image.configuration.diffIDs)
        let blobs = [image.descriptor, image.manifest.configuration] + image.manifest.layers
        return blobs.allSatisfy { (try? store.verify($0.digest, size: $0.size)) != nil }
            && chains.allSatisfy { snapshots.has($0) }
    }

    private func isGone(_ image: Image) -> Bool {
        let blobs = [image.descriptor, image.manifest.configuration] + image.manifest.layers
        return !blobs.contains { store.has($0.digest) }
            && !snapshots.has(Snapshots.chainIDs(image.configuration.diffIDs)[0])
    }

    @Test func `What no name leads to goes, with its snapshot, and what that gave is told`() throws
    {
        let (kept, gone) = (try image("kept"), try image("gone"))
        #expect(try collect() == GarbageFreed())
        try store.untag(try .parse("gone"))
        let freed = try #require(try collect())
        let blobs = [gone.descriptor, gone.manifest.configuration] + gone.manifest.layers
        // The file's twelve bytes are in the snapshot.
        #expect(freed.bytes == blobs.reduce(12) { $0 + $1.size })
        #expect(freed.blobs == 3 && freed.snapshots == 1 && freed.unfinished == 0)
        #expect(isGone(gone) && isWhole(kept))
        #expect(try collect() == GarbageFreed())
    }

    @Test func `A layer that two images share goes with the second`() throws {
        let content = randomName()
        let (one, two) = (try image("one", content), try image("two", content))
        try store.untag(try .parse("one"))
        #expect(try collect()?.blobs == 2)
        #expect(isWhole(two))
        #expect(one.id != two.id && one.manifest.layers == two.manifest.layers)
        try store.untag(try .parse("two"))
        _ = try collect()
        #expect(isGone(one) && isGone(two))
    }

    @Test func `What a name meant before stays until it is pruned or too long ago`() throws {
        let images = try (0..<8).map { _ in try image("app") }
        _ = try collect()
        #expect(images.map(isWhole) == [false, false, true, true, true, true, true, true])
        #expect(isGone(images[0]) && isGone(images[1]))
        try store.revert(try .parse("app"), to: images[2].id.hex)
        #expect(try store.resolve("app").id == images[2].id)
        let freed = try collect(removing: { $0.tag == nil })
        #expect(freed?.entries.count == 5)
        #expect(isWhole(images[2]) && images[3...].allSatisfy(isGone))
        #expect(throws: KernelError.self) { try store.revert(try .parse("app")) }
    }

    @Test func `What containers and mounts use stays, named or not`() throws {
        let (byManifest, byChain, free) = (try image("a"), try image("b"), try image("c"))
        let chain = Snapshots.chainIDs(byChain.configuration.diffIDs)[0]
        let inUse = ImagesInUse(manifests: [byManifest.descriptor.digest], chains: [chain])
        let freed = try collect(keeping: inUse, removing: { _ in true })
        // Its entry stays too: it can be started again by its name.
        #expect(freed?.entries.map(\.digest) == [byChain, free].map(\.descriptor.digest))
        #expect(isWhole(byManifest) && isGone(free) && snapshots.has(chain))
        #expect(try store.resolve("a").id == byManifest.id)
        _ = try collect()
        #expect(isGone(byChain))
    }

    @Test func `A pinned image stays for as long as its program lives`() throws {
        let image = try image("app")
        let pin = try store.pin("app")
        #expect(pin.image.id == image.id)
        try store.untag(try .parse("app"))
        _ = try collect(removing: { _ in true })
        #expect(isWhole(image))
        // A dead program's note says nothing: nobody holds its lock.
        let notes = store.path + "/pins"
        try replaceFile(notes + "/dead", with: "\(image.descriptor.digest)\n".utf8)
        _ = consume pin
        _ = try collect()
        #expect(isGone(image))
        #expect(try namesInDirectory(notes) == ["lock"])
    }

    @Test func `The collector waits for who holds the store, and gives up in time`() throws {
        let lease = try store.hold()
        let blob = try store.write([1, 2, 3], as: MediaType.manifest)
        #expect(try collect(patience: 0.05) == nil)
        #expect(store.has(blob.digest))
        try store.tag(blob, as: try .parse("late"))
        lease.release()
        #expect(try collect() == GarbageFreed())
        #expect(store.has(blob.digest))
    }

    @Test func `Whoever wants to hold the store waits for the collector`() throws {
        try image("app")
        var isFree = true
        _ = try GarbageCollector(stateRoot: scratch.path).collect(
            takesDownloads: false, patience: 1,
            inUse: { () throws(KernelError) in
                let file = try Descriptor.open(store.leasePath, O_RDWR)
                isFree = flock(file.number, LOCK_SH | LOCK_NB) == 0
                return ImagesInUse()
            })
        #expect(!isFree)
        try store.hold().release()
    }

    @Test func `A download that was broken off goes only when that is asked for`() throws {
        let digest = Images.digest(of: [1])
        var blob = try store.resumeBlob(digest)
        #expect(try collect(downloads: true)?.unfinished == 0, "it is being written")
        blob = nil
        #expect(try collect(downloads: false)?.unfinished == 0)
        #expect(try collect(downloads: true)?.unfinished == 1)
        #expect(blob == nil)
    }

    @Test func `What a killed writer left goes`() throws {
        try image("app")
        try replaceFile(store.path + "/ingest/orphan", with: [1, 2, 3])
        try makeDirectories(snapshots.path + "/unpacking/orphan/fs", why: "a test")
        try replaceFile(store.path + "/index.json.abc.tmp", with: [1])
        #expect(try collect()?.unfinished == 2)
        #expect(try !namesInDirectory(store.path).contains { $0.hasSuffix(".tmp") })
    }

    @Test func `What is no blob is left alone`() throws {
        try image("app")
        let strange = store.path + "/blobs/sha256/README"
        try replaceFile(strange, with: "mine".utf8)
        _ = try collect(removing: { _ in true })
        #expect(try readText(strange) == "mine")
    }

    @Test func `An index keeps what it lists, as far as that is here`() throws {
        let (here, missing) = (try image("here"), try image("missing"))
        let index = ImageIndex(manifests: [here.descriptor, missing.descriptor])
        let blob = try store.write(index.json, as: MediaType.index)
        try store.tag(blob, as: try .parse("both"))
        for name in ["here", "missing"] { try store.untag(try .parse(name)) }
        unlink(store.blobPath(missing.descriptor.digest))
        let freed = try collect()
        #expect(freed?.blobs == 2, "what only the missing manifest leads to")
        #expect(isWhole(here) && store.has(blob.digest))
        #expect(try store.verify(image: try store.entry("both")) == 4)
    }

    @Test func `After any number of changes every image is whole and nothing is left over`() throws
    {
        var named: [String: Image] = [:]
        for round in 0..<60 {
            let name = "n\(Int.random(in: 0..<6))"
            switch Int.random(in: 0..<4) {
            case 0, 1: named[name] = try image(name, "\(Int.random(in: 0..<9))")
            case 2:
                try store.untag(try .parse(name))
                named[name] = nil
            default: _ = try collect(removing: { $0.tag == nil && round.isMultiple(of: 2) })
            }
            #expect(named.values.allSatisfy(isWhole))
        }
        _ = try collect(removing: { $0.tag == nil })
        #expect(named.values.allSatisfy(isWhole))
        let wanted = named.values.reduce(into: Set<Digest>()) { blobs, image in
            blobs.formUnion([image.descriptor.digest, image.id])
            blobs.formUnion(image.manifest.layers.map(\.digest))
        }
        let there = try namesInDirectory(store.path + "/blobs/sha256")
        #expect(Set(there) == Set(wanted.map(\.hex)))
    }

    @Test func `A name goes with its last image, an id only without several names`() throws {
        let image = try image("one")
        try store.tag(image.entry, as: try .parse("two"))
        let nobody: (Image) throws(KernelError) -> String? = { _ in nil }
        for force in [false, true] {
            let removed = try? store.remove(image.id.short, force: force, user: nobody)
            #expect((removed == nil) == !force)
            guard let removed else { continue }
            #expect(removed.untagged.count == 2 && removed.deleted == image.id)
        }
        try store.tag(image.entry, as: try .parse("one"))
        try store.tag(image.entry, as: try .parse("two"))
        // What uses it matters only for the last name.
        let user: (Image) throws(KernelError) -> String? = { _ in "container x" }
        #expect(try store.remove("one", force: false, user: user).deleted == nil)
        let error = #expect(throws: KernelError.self) {
            try store.remove("two", force: false, user: user)
        }
        #expect(error?.errno == .busy && error?.remedy.contains("container x") == true)
        #expect(try store.remove("two", force: true, user: user).deleted == image.id)
    }

    @Test func `What is damaged can be removed`() throws {
        let image = try image("app")
        try replaceFile(store.blobPath(image.descriptor.digest), with: "{".utf8)
        #expect(throws: KernelError.self) { try store.resolve("app") }
        #expect(try store.remove("app", force: false, user: { _ in nil }).untagged.count == 1)
        _ = try collect()
        #expect(isGone(image))
    }
}
