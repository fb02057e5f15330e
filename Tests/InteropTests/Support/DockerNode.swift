import Foundation

/// dockerd on a node of its own, with the runtime under test as its default and one image.
final class DockerNode: Client, Sendable {
    static let image = "box:1"

    let node: Node
    private let place: Place
    private var host: String { "unix://" + (place / "socket") }

    init(_ name: String = "docker") throws {
        let place = try Place(name)
        self.place = place
        node = try Node(
            name, in: place,
            running: [
                "dockerd", "--host", "unix://" + (place / "socket"), "--data-root", place / "data",
                "--storage-driver", "vfs", "--exec-opt", "native.cgroupdriver=cgroupfs",
                "--add-runtime", "hull=" + runtimeUnderTest, "--default-runtime", "hull",
            ])
        try node.wait("dockerd") { try outcome(of: "version").code == 0 }
        try self("import", "--change", "CMD [\"sh\"]", try makeRootArchive(in: place), Self.image)
    }

    /// The one that the tests share.
    static func shared() throws -> DockerNode { try Workshop.shared { _ in try DockerNode() } }

    var client: [String] { ["docker", "--host", host, "--config", place / "config"] }

    /// Runs `docker-compose WORDS…`.
    @discardableResult
    func compose(_ file: String, _ words: String...) throws -> String {
        try InteropTests.run(
            ["docker-compose", "--file", file, "--project-name", "shop", "--no-ansi"] + words,
            environment: ["DOCKER_HOST": host, "HOME": place.path], seconds: 120)
    }

    /// Starts a container in the background and returns its name.
    func start(
        _ options: [String] = [], _ command: [String] = ["sleep", "1000"]
    ) throws -> String {
        let name = randomWord()
        try run(["run", "--detach", "--name", name] + options + [Self.image] + command)
        return name
    }

    /// Removes a container, if it is there.
    func remove(_ name: String) { _ = try? outcome(of: "rm", "--force", "--volumes", name) }

    /// One field of `docker inspect`.
    func inspect(_ name: String, _ template: String) throws -> String {
        try self("inspect", "--format", template, name)
    }
}
