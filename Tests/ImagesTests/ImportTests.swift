import Foundation
import Kernel
import OCISpec
import Testing

@testable import Images

@Suite struct ImportTests {
    let scratch: TemporaryDirectory
    let root: String
    let importer: ImageImporter
    let store: ContentStore
    let snapshots: Snapshots

    init() throws {
        scratch = try TemporaryDirectory()
        root = scratch / "root"
        importer = ImageImporter(stateRoot: root)
        store = ContentStore(stateRoot: root)
        snapshots = Snapshots(stateRoot: root)
        try makeTree(scratch / "tree")
    }

    private func importTree(_ name: String, changes: [String] = []) throws -> Digest {
        try importer.import(
            from: .directory(scratch / "tree"), as: try .parse(name), changes: changes,
            created: Timestamp(seconds: 1_000_000_000))
    }

    @Test func `An imported directory is the lower directory, file by file`() throws {
        let id = try importTree("app")
        let image = try store.resolve("app")
        #expect(image.id == id)
        let lower = try snapshots.lowerDirectories(for: image, in: store)
        #expect(lower.count == 1)
        #expect(try listing(lower[0]) == listing(scratch / "tree"))
    }

    @Test func `An archive gives the same files, by name or by standard input's descriptor`() throws
    {
        try shell(
            "tar czf '\(scratch / "a.tgz")' --xattrs --xattrs-include='*' --format=posix -C '\(scratch / "tree")' ."
        )
        _ = try importer.import(from: .archive(scratch / "a.tgz"), as: try .parse("app"))
        let image = try store.resolve("app")
        let lower = try snapshots.lowerDirectories(for: image, in: store)
        #expect(try listing(lower[0]) == listing(scratch / "tree"))
    }

    @Test func `The same directory has the same id, and shares its snapshot`() throws {
        #expect(try importTree("one") == importTree("two"))
        #expect(try store.index().manifests.count == 2)
        #expect(try namesInDirectory(snapshots.path).filter { $0.count == 64 }.count == 1)
    }

    @Test func `Changes are kept in the configuration`() throws {
        let changes = [
            #"CMD ["/bin/sh", "-c", "echo"]"#, "ENTRYPOINT run me", "ENV A=1 B='x y' A=2",
            "env C d e",
            "WORKDIR /srv", "WORKDIR app", "USER 1:2", "LABEL k=v \"two words\"=\"x\\\"y\"",
            "EXPOSE 80 53/UDP", "VOLUME [\"/data\", \"/x\"]", "STOPSIGNAL SIGQUIT",
        ]
        _ = try importTree("app", changes: changes)
        let process = try store.resolve("app").configuration.process
        #expect(process.command == ["/bin/sh", "-c", "echo"])
        #expect(process.entrypoint == ["/bin/sh", "-c", "run me"])
        #expect(process.environment == ["B=x y", "A=2", "C=d e"])
        #expect(process.workingDirectory == "/srv/app" && process.user == "1:2")
        #expect(process.labels == ["k": "v", "two words": "x\"y"])
        #expect(
            process.exposedPorts == ["53/udp", "80/tcp"] && process.volumes == ["/data", "/x"])
        #expect(process.stopSignal == "SIGQUIT")
    }

    @Test(arguments: [
        "", "CMD", "RUN x", "ENV A", "ENV =b", "LABEL 'open", "EXPOSE x", "EXPOSE 70000",
        "EXPOSE 1/x/y",
    ])
    func `A bad change is refused before anything is written`(_ change: String) throws {
        let error = #expect(throws: KernelError.self) { try importTree("x", changes: [change]) }
        #expect(error?.operation == "--change")
        #expect(fileType(root) == nil)
    }

    @Test func `A name that another image takes over keeps the first one as its last version`()
        throws
    {
        let first = try importTree("app")
        let second = try importTree("app", changes: ["CMD x"])
        #expect(try store.resolve("app").id == second)
        #expect(try store.resolve(first.short).id == first)
        #expect(try store.images(snapshots).map(\.id) == [second])
        let reference = try ImageReference("app")
        #expect(try store.versions(of: reference).map(\.id) == [second, first])
        // Back again: what it meant before is what it means now.
        #expect(try importTree("app") == first)
        #expect(try store.images(snapshots).map(\.id) == [first])
    }

    @Test func `An image that is not there says what to do`() throws {
        for name in ["nosuch", "abcdef", "busybox@sha256:" + String(repeating: "0", count: 64)] {
            let error = #expect(throws: KernelError.self) { try store.resolve(name) }
            #expect(error?.errno == .noSuchFile && error?.remedy.contains("hull images") ?? false)
        }
        #expect(throws: KernelError.self) { try store.resolve("Bad Name") }
        #expect(try store.images(snapshots).isEmpty)
    }

    @Test func `A damaged index or manifest is named`() throws {
        _ = try importTree("app")
        let manifest = store.blobPath(try store.index().manifests[0].digest)
        try replaceFile(manifest, with: "{}".utf8)
        #expect(throws: KernelError.self) { try store.resolve("app") }
        try replaceFile(
            store.path + "/index.json", with: "{\"schemaVersion\":2,\"manifests\":3}".utf8)
        let error = #expect(throws: KernelError.self) { try store.resolve("app") }
        #expect(error?.object.hasSuffix("index.json") ?? false)
        #expect(error?.remedy.contains("manifests") ?? false)
    }

    @Test func `A layer that is not what the configuration says is not unpacked`() throws {
        _ = try importTree("app")
        let image = try store.resolve("app")
        let lower = try snapshots.lowerDirectories(for: image, in: store)[0]
        try removeTree(String(lower.dropLast(3)))
        let blob = store.blobPath(image.manifest.layers[0].digest)
        try writeArchive(blob, [file("evil")])
        #expect(throws: KernelError.self) {
            try snapshots.lowerDirectories(for: image, in: store)
        }
        #expect(fileType(lower) == nil)
        #expect(try namesInDirectory(snapshots.path + "/unpacking") == ["lock"])
    }

    @Test func `A missing snapshot is unpacked again`() throws {
        _ = try importTree("app")
        let image = try store.resolve("app")
        try removeTree(snapshots.path)
        let lower = try snapshots.lowerDirectories(for: image, in: store)
        #expect(try listing(lower[0]) == listing(scratch / "tree"))
    }

    @Test func `What a killed writer left is cleared, what a live one has is not`() throws {
        _ = try importTree("app")
        let live = Process()
        live.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
        live.arguments = ["--no-fork", store.path + "/ingest/live", "sleep", "1000"]
        // It must not hold the runner's own output open.
        live.standardOutput = FileHandle.nullDevice
        live.standardError = FileHandle.nullDevice
        try live.run()
        defer { kill(live.processIdentifier, SIGKILL) }
        try shell(
            """
            until test -e '\(store.path)/ingest/live' && ! flock -n '\(store.path)/ingest/live' true
            do sleep 0.01; done
            echo half > '\(store.path)/ingest/dead'; mkdir -p '\(snapshots.path)/unpacking/dead/fs/x'
            echo half > '\(store.path)/index.json.0123.tmp'
            """)
        try shell("rm -r '\(snapshots.path)'/[0-9a-f]*")
        _ = try importTree("app")
        #expect(try namesInDirectory(store.path + "/ingest") == ["live", "lock"])
        #expect(try namesInDirectory(snapshots.path + "/unpacking") == ["lock"])
        #expect(try !namesInDirectory(store.path).contains { $0.hasSuffix(".tmp") })
        kill(live.processIdentifier, SIGKILL)
        live.waitUntilExit()
        _ = try importTree("app")
        #expect(try namesInDirectory(store.path + "/ingest") == ["lock"])
    }

    @Test func `Many imports at once all get their tags`() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                let importer = importer
                let tree = scratch / "tree"
                group.addTask {
                    _ = try importer.import(
                        from: .directory(tree), as: try .parse("app:\(number)"),
                        changes: ["LABEL n=\(number)"])
                }
            }
            try await group.waitForAll()
        }
        #expect(try store.images(snapshots).count == 8)
        #expect(try namesInDirectory(snapshots.path).filter { $0.count == 64 }.count == 1)
    }

    @Test func `Other engines read the layout`() throws {
        let id = try importTree("app:v1", changes: ["CMD [\"/bin/sh\"]"])
        let layout = store.path
        try shell(
            """
            skopeo inspect --raw oci:\(layout):docker.io/library/app:v1 | jq -re .config.digest | grep -q \(id)
            skopeo copy -q oci:\(layout):docker.io/library/app:v1 oci-archive:\(scratch / "copy.tar")
            umoci unpack --image \(layout):docker.io/library/app:v1 \(scratch / "bundle")
            jq -e '.process.args == ["/bin/sh"]' \(scratch / "bundle/config.json")
            """)
        #expect(try listing(scratch / "bundle/rootfs") == listing(scratch / "tree"))
    }
}
