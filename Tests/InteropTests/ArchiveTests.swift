import Foundation
import OCISpec
import Testing

extension InteropSuite {
    /// `hull save` and `hull load`, with what other programs save and load.
    @Suite struct ArchiveTests {
        /// The ways in which others write a random image as an archive or a directory.
        enum Writer: String, CaseIterable {
            case podmanDocker, podmanOCI, skopeoDocker, skopeoOCI, skopeoDirectory, docker, umoci

            /// Writes `image`, under `name`, and says where.
            func write(_ image: RandomImage, as name: String, in podman: Podman) throws -> String {
                let file = podman.place / "archive"
                let source = "oci:\(image.layout):\(image.tag)"
                switch self {
                case .podmanDocker, .podmanOCI:
                    try podman.skopeo("copy", source, "containers-storage:\(name)")
                    let format = self == .podmanOCI ? "oci-archive" : "docker-archive"
                    try podman("save", "--format", format, "-o", file, name)
                case .skopeoDocker:
                    try podman.skopeo("copy", source, "docker-archive:\(file):\(name)")
                case .skopeoOCI: try podman.skopeo("copy", source, "oci-archive:\(file):\(name)")
                case .skopeoDirectory: try podman.skopeo("copy", source, "oci:\(file):\(name)")
                case .docker:
                    try podman.skopeo("copy", source, "docker-archive:\(file).in:\(name)")
                    let docker = try Workshop.docker()
                    try docker("load", "-i", file + ".in")
                    try docker("save", "-o", file, name)
                case .umoci:
                    try shell("cp -a '\(image.layout)' '\(file)'")
                    try run(["umoci", "tag", "--image", "\(file):\(image.tag)", name])
                    try run(["umoci", "rm", "--image", "\(file):\(image.tag)"])
                }
                return file
            }
        }

        @Test(arguments: [
            Writer.podmanDocker, .podmanOCI, .skopeoDirectory, .docker, .umoci,
        ])
        func `hull loads what others save: the same id, configuration and tree`(
            _ writer: Writer
        ) throws {
            let image = try RandomImage()
            let podman = try Podman()
            let hull = try Hull()
            let name = "localhost/\(image.tag):v1"
            // umoci takes no colon in a name; whoever loads by it gets an image by its id.
            let written = writer == .umoci ? image.tag + "-new" : name
            let archive = try writer.write(image, as: written, in: podman)
            let said = try hull("load", "-i", archive)
            if writer == .umoci {
                #expect(said == "Loaded image ID: \(image.id)")
            } else {
                #expect(said == "Loaded image: \(name)")
                #expect(try hull.id(of: name) == image.id)
            }
            #expect(try hull.blob(image.id) == image.configuration)
            try expectSameTree(
                try hull.tree(of: image.id, image.configuration),
                try umociTree(of: image.layout, tag: image.tag, in: hull.place))
        }

        @Test(arguments: ["gzip -c", "zstd -qc", "cat"])
        func `an archive comes in by a pipe, compressed or not`(_ packer: String) throws {
            let image = try RandomImage(layers: 2)
            let podman = try Podman()
            let hull = try Hull()
            let name = "localhost/\(image.tag):v1"
            let archive = try Writer.skopeoDocker.write(image, as: name, in: podman)
            let program = Hull.products + "/hull"
            let said = try shell(
                "\(packer) '\(archive)' | '\(program)' load", environment: ["HULL_ROOT": hull.state]
            )
            #expect(said == "Loaded image: \(name)")
            #expect(try hull.id(of: name) == image.id)
        }

        @Test(arguments: [
            ("docker", RandomImage.Compression.gzip), ("docker", .none), ("oci", .zstd),
        ])
        func `others load what hull saves: the same digests, configuration and tree`(
            _ format: String, _ compression: RandomImage.Compression
        ) throws {
            let image = try RandomImage(compression)
            let podman = try Podman()
            let hull = try Hull()
            let name = "localhost/\(image.tag):v1"
            let archive = try hull.archive(of: image, as: name, format)

            try podman("load", "-i", archive)
            #expect(try podman("image", "inspect", "-f", "{{.Id}}", name) == image.id.dropFirst(7))
            let tree = try hull.tree(of: name, image.configuration)
            try expectSameTree(try podman.tree(of: name), tree)
            let copy = podman.place / "copy"
            try podman.skopeo("copy", "oci-archive:\(archive):\(name)", "oci:\(copy):copy")
            // umoci knows no zstd.
            if compression != .zstd {
                try expectSameTree(tree, try umociTree(of: copy, tag: "copy", in: podman.place))
            }
            let raw = try podman.skopeoOutcome([
                "inspect", "--raw", "oci-archive:\(archive):\(name)",
            ])
            #expect(try digest(raw.output, in: podman.place) == image.manifest)
            let config = try podman.skopeoOutcome(
                ["inspect", "--config", "--raw", "oci-archive:\(archive):\(name)"])
            #expect(String(decoding: config.output, as: UTF8.self) == image.configuration)
            guard format == "docker" else { return }

            try podman.skopeo("copy", "docker-archive:\(archive):\(name)", "oci:\(copy):second")
            try expectSameTree(tree, try umociTree(of: copy, tag: "second", in: podman.place))
            let docker = try Workshop.docker()
            try docker("load", "-i", archive)
            #expect(try docker("image", "inspect", "-f", "{{.Id}}", name) == image.id)
            try expectSameTree(tree, try docker.tree(of: name), attributes: false)
        }

        @Test func `from docker through hull and back it is the same image`() throws {
            let docker = try Workshop.docker()
            let podman = try Podman()
            let hull = try Hull()
            let image = try RandomImage()
            let name = "localhost/\(image.tag):v1"
            let archive = try Writer.docker.write(image, as: name, in: podman)
            try docker("rmi", name)
            try hull("load", "-i", archive)
            try hull("save", "-o", archive + ".hull", name)
            try docker("load", "-i", archive + ".hull")
            #expect(try docker("image", "inspect", "-f", "{{.Id}}", name) == image.id)
            let health = try docker("image", "inspect", "-f", "{{.Config.Healthcheck.Test}}", name)
            #expect(health == "[CMD /bin/sh -c exit 0]")
        }

        @Test func `several images travel in one archive and share their layers`() throws {
            let docker = try Workshop.docker()
            let podman = try Podman()
            let hull = try Hull()
            let images = [try RandomImage(layers: 2), try RandomImage(layers: 1)]
            let names = images.map { "localhost/\($0.tag):v1" }
            for (image, name) in zip(images, names) {
                let archive = try Writer.skopeoOCI.write(image, as: name, in: podman)
                try hull("load", "-i", archive)
                try shell("rm '\(podman.place / "archive")'")
            }
            let archive = podman.place / "several"
            try hull("save", "-o", archive, names[0], names[1], names[0])
            try podman("load", "-i", archive)
            try docker("load", "-i", archive)
            for (image, name) in zip(images, names) {
                #expect(
                    try podman("image", "inspect", "-f", "{{.Id}}", name) == image.id.dropFirst(7))
                #expect(try docker("image", "inspect", "-f", "{{.Id}}", name) == image.id)
            }
            let other = try Hull()
            try docker("save", "-o", archive + ".docker", names[0], names[1])
            try other("load", "-i", archive + ".docker")
            try podman("save", "-m", "-o", archive + ".podman", names[0], names[1])
            let third = try Hull()
            try third("load", "-i", archive + ".podman")
            for (image, name) in zip(images, names) {
                #expect(try other.id(of: name) == image.id)
                #expect(try third.id(of: name) == image.id)
            }
        }

        @Test func `an image for several machines keeps all of them`() throws {
            let podman = try Podman()
            let hull = try Hull()
            let image = try RandomImage(layers: 1)
            let layout = try image.asIndex()
            try hull("load", "-i", layout.path)
            let archive = podman.place / "archive"
            try hull("save", "--format", "oci", "-o", archive, layout.name)
            let copy = podman.place / "copy"
            try podman.skopeo(
                "copy", "--all", "oci-archive:\(archive):\(layout.name)", "oci:\(copy):x")
            let raw = try podman.skopeoOutcome(["inspect", "--raw", "oci:\(copy):x"])
            #expect(try digest(raw.output, in: podman.place) == layout.digest)
            #expect(try hull.id(of: layout.name) == image.id)
        }

        @Test func `what hull commits podman runs, and nothing of the image is lost`() throws {
            let podman = try Podman()
            let hull = try Hull()
            let image = try RandomImage()
            let (name, next) = ("localhost/\(image.tag):v1", "localhost/\(image.tag):v2")
            _ = try hull.archive(of: image, as: name, "oci")
            let (kept, word) = (hull.place / "kept", randomWord())
            try hull.program(
                "stage08-images", "--network", "none", "--keep", kept, name, "/bin/sh", "-c",
                "echo \(word) > /word; echo > /dir/more; busybox rm -r /opaque /now-a-file")
            try hull("commit", kept, next)
            let archive = hull.place / "committed"
            try hull("save", "-o", archive, next)
            try podman("load", "-i", archive)
            #expect(try podman.runContainer(next, "cat", "/word") == word)
            #expect(try podman.runContainer(next) == image.greeting)
            let configuration = try hull.configuration(of: next)
            let tree = try hull.tree(of: next, configuration)
            #expect(access(tree + "/now-a-file", F_OK) != 0)
            try expectSameTree(tree, try podman.tree(of: next))

            let before = try JSON.parse(image.configuration)
            let after = try JSON.parse(configuration)
            #expect(after["config"] == before["config"])
            #expect(after["org.example.unknown"] == before["org.example.unknown"])
            let (old, new) = (JSONReader(before), JSONReader(after))
            let layers = try old["rootfs"]["diff_ids"].strings()
            #expect(try Array(new["rootfs"]["diff_ids"].strings().dropLast()) == layers)
            #expect(try new["history"].array().count == layers.count + 1)
        }

        @Test func `podman runs what hull saved`() throws {
            let podman = try Podman()
            let hull = try Hull()
            let image = try RandomImage()
            let name = "localhost/\(image.tag):v1"
            try podman("load", "-i", try hull.archive(of: image, as: name, "docker"))
            #expect(try podman.runContainer(name) == image.greeting)
            #expect(try podman.runContainer(name, "pwd") == "/dir")
            #expect(try hull("run", "--rm", "--network", "none", name) == image.greeting)
        }
    }
}

extension Hull {
    /// A random image, taken in and written out again.
    fileprivate func archive(
        of image: RandomImage, as name: String, _ format: String
    ) throws -> String {
        let layout = place / "named"
        try shell("cp -a '\(image.layout)' '\(layout)'")
        try shell("sed -i 's|\"\(image.tag)\"|\"\(name)\"|' '\(layout)/index.json'")
        try self("load", "-i", layout)
        let archive = place / "saved-\(format)"
        try self("save", "--format", format, "-o", archive, name)
        return archive
    }
}

private func digest(_ data: Data, in place: Place) throws -> String {
    let file = place / randomWord()
    try data.write(to: URL(fileURLWithPath: file))
    return "sha256:" + (try shell("sha256sum '\(file)' | cut -d ' ' -f 1"))
}
