import Foundation

/// An image that no program has made: an OCI layout written by hand, with random names and values.
///
/// Its layers hold one of everything, and take away and replace much of each other.
struct RandomImage {
    /// How the layers are packed.
    enum Compression: String, CaseIterable {
        case none, gzip, zstd
    }

    /// The layout's directory. The image's tag in it is ``tag``.
    let layout: String
    let tag: String
    /// The digests of the manifest and of the configuration, which is the image's id.
    let manifest: String
    let id: String
    /// The configuration, to the byte.
    let configuration: String
    /// A file in `/` of the image, and what is in it.
    let greeting: String

    private let place: Place
    /// The lowest layer as an archive, not compressed: a whole root file system.
    var rootArchive: String { place / "layer1.tar" }

    init(layers: Int = 3, _ compression: Compression = .gzip) throws {
        place = try Place("image")
        tag = randomWord()
        layout = try place.makeDirectory("layout")
        greeting = randomWord()
        try shell(RandomImage.layersScript(in: place.path, greeting))
        var diffIDs: [String] = []
        var blobs: [String] = []
        for number in 1...layers {
            let archive = place / "layer\(min(number, 3)).tar"
            // Layers behind the third one differ by what is appended to an archive: nothing of note.
            if number > 3 {
                try RandomImage.extraLayer(archive, number)
            }
            diffIDs.append(try RandomImage.digest(archive))
            blobs.append(try RandomImage.addLayer(archive, compression, to: layout))
        }
        configuration = RandomImage.configuration(diffIDs)
        let config = try RandomImage.add(
            configuration, "application/vnd.oci.image.config.v1+json", to: layout)
        let text = """
            {"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",\
            "config":\(config.descriptor),"layers":[\(blobs.joined(separator: ","))],\
            "annotations":{"org.example.\(randomWord())":"ü \(randomWord())"}}
            """
        let added = try RandomImage.add(
            text, "application/vnd.oci.image.manifest.v1+json", to: layout,
            annotations: #""annotations":{"org.opencontainers.image.ref.name":"\#(tag)"}"#)
        (id, manifest) = (config.digest, added.digest)
        try place.makeFile(
            "layout/index.json", #"{"schemaVersion":2,"manifests":[\#(added.descriptor)]}"#)
        try place.makeFile("layout/oci-layout", #"{"imageLayoutVersion":"1.0.0"}"#)
    }

    /// A layout with an index of this image and of the same for another machine.
    func asIndex() throws -> (path: String, name: String, digest: String) {
        let (other, name) = (place / "index", "localhost/\(tag):all")
        try shell("cp -a '\(layout)' '\(other)'")
        let own = RandomImage.machine
        let foreign = own == "amd64" ? "arm64" : "amd64"
        let config = try RandomImage.add(
            configuration.replacingOccurrences(of: "\"\(own)\"", with: "\"\(foreign)\""),
            "application/vnd.oci.image.config.v1+json", to: other)
        let text = try String(
            contentsOfFile: "\(layout)/blobs/sha256/\(manifest.dropFirst(7))", encoding: .utf8)
        let type = "application/vnd.oci.image.manifest.v1+json"
        func platform(_ machine: String) -> String {
            #""platform":{"architecture":"\#(machine)","os":"linux"}"#
        }
        let second = try RandomImage.add(
            text.replacingOccurrences(of: id, with: config.digest), type, to: other,
            annotations: platform(foreign))
        let first = try RandomImage.add(text, type, to: other, annotations: platform(own))
        let index = try RandomImage.add(
            """
            {"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",\
            "manifests":[\(second.descriptor),\(first.descriptor)]}
            """, "application/vnd.oci.image.index.v1+json", to: other,
            annotations: #""annotations":{"org.opencontainers.image.ref.name":"\#(name)"}"#)
        try place.makeFile(
            "index/index.json", #"{"schemaVersion":2,"manifests":[\#(index.descriptor)]}"#)
        return (other, name, index.digest)
    }

    #if arch(arm64)
        private static let machine = "arm64"
    #else
        private static let machine = "amd64"
    #endif

    // Layers

    private static func extraLayer(_ archive: String, _ number: Int) throws {
        try shell(
            """
            cd "$(dirname '\(archive)')"; rm -rf extra; mkdir extra
            echo \(randomWord()) > extra/layer-\(number)
            tar --format=pax --numeric-owner -C extra -cf '\(archive)' layer-\(number)
            """)
    }

    /// Three directories as layers: the first is a root file system, the others change it.
    private static func layersScript(in directory: String, _ greeting: String) -> String {
        let long = String(repeating: "n", count: 180)
        return """
            cd '\(directory)'; mkdir -p one two three
            busybox=$(command -v busybox)
            (cd one; mkdir -p bin etc dev proc sys tmp dir/sub gone replaced opaque/inner '\(long)'
            cp "$busybox" bin/busybox; for name in sh cat ls echo id pwd; do ln -s busybox bin/$name; done
            echo root:x:0:0:root:/:/bin/sh > etc/passwd; echo root:x:0: > etc/group
            echo '\(greeting)' > greeting; head -c 70000 /dev/urandom > dir/random
            ln dir/random dir/sub/hard; ln -s sub/text dir/soft; ln -s /nowhere dangling
            echo \(randomWord()) > dir/sub/text; echo \(randomWord()) > '\(long)/\(long)'
            echo old > gone/file; echo old > deleted; echo old > opaque/old; echo old > replaced/old
            mknod dir/char c 1 3; mknod dir/block b 7 200; mkfifo dir/fifo
            printf odd > $'dir/\\xff\\xfe name'; chown 12345:54321 dir/random
            chown -h 3000:3000 dir/soft; chmod 4755 dir/random; chmod 1777 tmp; chmod 2711 dir/sub
            setfattr -n user.colour -v 'b=l ue' dir/random; setfattr -n user.dir -v 1 dir/sub
            touch -h -d '2001-02-03 04:05:06.123456789 UTC' dir/soft dir/random greeting
            touch -d '1975-01-01 00:00:00.25 UTC' dir/sub/text)
            (cd two; mkdir -p dir opaque; : > .wh.deleted; : > .wh.gone; : > opaque/.wh..wh..opq
            echo new > opaque/new; : > .wh.replaced; echo file-now > now-a-file
            echo \(randomWord()) > dir/second; ln dir/second dir/second-hard; chmod 700 dir
            touch -d '2010-11-12 13:14:15.5 UTC' dir/second dir opaque)
            (cd three; mkdir -p gone dir deleted; echo again > gone/again; echo dir-now > deleted/inner
            : > dir/.wh.second-hard; ln -s greeting replaced; mknod dir/char2 c 1 5
            touch -h -d '2020-01-01 01:02:03.000000004 UTC' gone/again deleted/inner replaced)
            options=(--format=pax --pax-option=delete=atime,delete=ctime --numeric-owner
                --xattrs '--xattrs-include=user.*' --sort=name)
            tar "${options[@]}" -C one -cf layer1.tar .
            tar "${options[@]}" -C two -cf layer2.tar .wh.deleted .wh.gone .wh.replaced \
                opaque dir now-a-file
            tar "${options[@]}" -C three -cf layer3.tar gone dir deleted replaced
            """
    }

    private static func addLayer(
        _ archive: String, _ compression: Compression, to layout: String
    ) throws -> String {
        let suffix = compression == .none ? "" : "+" + compression.rawValue
        let packed = archive + ".packed"
        switch compression {
        case .none: try shell("cp '\(archive)' '\(packed)'")
        case .gzip: try shell("gzip -nc1 '\(archive)' > '\(packed)'")
        case .zstd: try shell("zstd -qc1 '\(archive)' > '\(packed)'")
        }
        return try add(
            file: packed, "application/vnd.oci.image.layer.v1.tar" + suffix, to: layout
        ).descriptor
    }

    // Blobs

    private static func digest(_ file: String) throws -> String {
        "sha256:" + (try shell("sha256sum '\(file)' | cut -d ' ' -f 1"))
    }

    private static func add(
        _ text: String, _ mediaType: String, to layout: String, annotations: String? = nil
    ) throws -> (digest: String, descriptor: String) {
        let file = layout + "." + randomWord()
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        return try add(file: file, mediaType, to: layout, annotations: annotations)
    }

    private static func add(
        file: String, _ mediaType: String, to layout: String, annotations: String? = nil
    ) throws -> (digest: String, descriptor: String) {
        let digest = try digest(file)
        let size = try shell("stat -c %s '\(file)'")
        try shell(
            """
            mkdir -p '\(layout)/blobs/sha256'
            mv '\(file)' '\(layout)/blobs/sha256/\(digest.dropFirst(7))'
            """)
        let more = annotations.map { "," + $0 } ?? ""
        return (
            digest,
            #"{"mediaType":"\#(mediaType)","digest":"\#(digest)","size":\#(size)\#(more)}"#
        )
    }

    /// With what no specification knows, in an order and with spaces that no program would choose:
    /// whoever writes it anew changes the image's id.
    private static func configuration(_ diffIDs: [String]) -> String {
        let layers = diffIDs.map { "\"\($0)\"" }.joined(separator: ", ")
        let history = diffIDs.map { _ in
            #"{"created": "2024-05-06T07:08:09.123Z", "created_by": "\#(randomWord())"}"#
        }.joined(separator: ",")
        return """
            { "org.example.unknown": {"deep": [1, 2.5, "\(randomWord())"]},
              "os": "linux", "architecture": "\(machine)", "created": "2024-05-06T07:08:09.123456789Z",
              "config": {"Env": ["PATH=/bin", "COLOUR=\(randomWord())"], "Cmd": ["cat", "/greeting"],
                "WorkingDir": "/dir", "User": "0:0", "Labels": {"org.example.label": "\(randomWord())"},
                "StopSignal": "SIGUSR1", "ExposedPorts": {"80/tcp": {}}, "Unknown": true,
                "Healthcheck": {"Test": ["CMD", "/bin/sh", "-c", "exit 0"], "Interval": 30000000000}},
              "rootfs": {"type": "layers", "diff_ids": [\(layers)]}, "history": [\(history)] }
            """
    }
}
