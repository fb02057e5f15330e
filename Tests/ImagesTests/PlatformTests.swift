import Foundation
import Kernel
import OCISpec
import Testing

@testable import Images

@Suite struct PlatformTests {
    @Test(arguments: [
        ("linux/amd64", "linux/amd64"), ("amd64", "linux/amd64"), ("x86_64", "linux/amd64"),
        ("Linux/ARM64", "linux/arm64"), ("aarch64", "linux/arm64"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("armhf", "linux/arm"), ("windows/amd64", "windows/amd64"), ("riscv64", "linux/riscv64"),
    ])
    func `A platform is read as people write it`(_ text: String, _ full: String) throws {
        #expect(try Platform(text).description == full)
        #expect(try Platform(full) == Platform(text))
    }

    @Test(arguments: ["", "/", "linux/", "a/b/c/d", "linux/../x", "linux/amd64 ", "li nux/amd64"])
    func `A bad platform is refused`(_ text: String) {
        #expect(throws: SpecificationError.self) { try Platform(text) }
    }

    /// A store with an image for several machines; each manifest's layer says for which.
    private final class Several {
        let scratch: TemporaryDirectory
        let store: ContentStore
        var manifests: [String: ContentDescriptor] = [:]

        init(_ platforms: [String], listed: (Platform) -> Platform? = { $0 }) throws {
            scratch = try TemporaryDirectory()
            store = ContentStore(stateRoot: scratch.path)
            var index = ImageIndex()
            for name in platforms {
                let platform = try Platform(name)
                let configuration = ImageConfiguration(
                    platform: platform, created: nil, process: ImageProcess(), diffIDs: [])
                let manifest = ImageManifest(
                    configuration: try store.write(
                        configuration.json, as: MediaType.configuration), layers: [])
                var blob = try store.write(manifest.json, as: MediaType.manifest)
                manifests[name] = blob
                blob.platform = listed(platform)
                index.manifests.append(blob)
            }
            try store.tag(
                try store.write(index.json, as: MediaType.index), as: try ImageReference("several"))
        }

        func choice(_ platform: String?) throws -> String {
            let wanted = try platform.map { try Platform($0) }
            let image = try store.resolve("several", platform: wanted)
            #expect(manifests["\(image.configuration.platform)"]?.digest == image.descriptor.digest)
            return "\(image.configuration.platform)"
        }
    }

    @Test(arguments: [
        ("linux/arm/v7", "linux/arm/v7"), ("linux/arm/v6", "linux/arm/v6"), ("arm", "linux/arm/v7"),
        ("linux/arm/v8", "linux/arm/v7"), ("arm64", "linux/arm64/v8"),
        ("linux/amd64", "linux/amd64"), ("linux/amd64/v2", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"), ("linux/s390x", "linux/s390x"),
    ])
    func `The manifest for the machine that is asked for is taken`(
        _ wanted: String, _ found: String
    ) throws {
        let several = try Several([
            "linux/amd64/v3", "linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8",
            "linux/s390x",
        ])
        #expect(try several.choice(wanted) == found)
        #expect(try several.choice(nil) == "\(Platform.host)")
    }

    @Test func `What the index does not say, the configuration does`() throws {
        let several = try Several(["linux/s390x", "\(Platform.host)"], listed: { _ in nil })
        #expect(try several.choice(nil) == "\(Platform.host)")
        #expect(try several.choice("s390x") == "linux/s390x")
    }

    @Test func `Who asks for a machine that it is not made for is told what it is made for`() throws
    {
        let several = try Several(["linux/s390x", "linux/arm/v7"])
        for (wanted, text) in [("ppc64le", "linux/ppc64le"), ("linux/arm/v6", "linux/arm/v6")] {
            let error = #expect(throws: KernelError.self) { try several.choice(wanted) }
            #expect(error?.errno == .noSuchFile)
            #expect(
                error?.remedy == "It is not made for \(text), but for linux/s390x, linux/arm/v7.")
        }
        // It is listed all the same, and a part that is not here is asked for.
        #expect(try several.store.images(Snapshots(stateRoot: several.scratch.path)).count == 1)
        let missing = try #require(several.manifests["linux/s390x"])
        unlink(several.store.blobPath(missing.digest))
        let error = #expect(throws: KernelError.self) { try several.choice("s390x") }
        #expect(error?.remedy.contains("--platform linux/s390x") == true)
    }

    @Test func `A platform is asked of an image for one machine too`() throws {
        let several = try Several(["linux/s390x"])
        let manifest = try #require(several.manifests["linux/s390x"])
        try several.store.tag(manifest, as: try ImageReference("single"))
        #expect(
            try several.store.resolve("single", platform: try Platform("s390x")).entry.digest
                == manifest.digest)
        #expect(throws: KernelError.self) {
            try several.store.resolve("single", platform: try Platform("arm64"))
        }
    }

    @Test func `Docker's own documents mean the same as those of the OCI`() throws {
        let scratch = try TemporaryDirectory()
        let store = ContentStore(stateRoot: scratch.path)
        try makeTree(scratch / "tree")
        _ = try ImageImporter(stateRoot: scratch.path).import(
            from: .directory(scratch / "tree"), as: try .parse("oci"))
        let image = try store.resolve("oci")
        // Schema 2, as registries hand it out: the same blobs under other types.
        var manifest = image.manifest
        manifest.mediaType = MediaType.dockerManifest
        manifest.configuration.mediaType = MediaType.dockerConfiguration
        for index in manifest.layers.indices {
            manifest.layers[index].mediaType = MediaType.dockerLayer
        }
        var blob = try store.write(manifest.json, as: MediaType.dockerManifest)
        try store.tag(blob, as: try .parse("docker"))
        blob.platform = .host
        let list = ImageIndex(mediaType: MediaType.dockerIndex, manifests: [blob])
        let listBlob = try store.write(list.json, as: MediaType.dockerIndex)
        try store.tag(listBlob, as: try .parse("list"))
        for name in ["docker", "list", "list@\(listBlob.digest)", "other@\(blob.digest)"] {
            let found = try store.resolve(name)
            #expect(found.id == image.id && found.descriptor.digest == blob.digest)
            #expect(found.manifest == manifest)
            let lower = try Snapshots(stateRoot: scratch.path).lowerDirectories(
                for: found, in: store)
            #expect(try listing(lower[0]) == listing(scratch / "tree"))
            #expect(try store.verify(image: found.entry) == (name.hasPrefix("list") ? 4 : 3))
        }
        // The bytes stay as they came.
        #expect(try store.bytes(of: listBlob) == Array(list.json.text().utf8))
    }
}
