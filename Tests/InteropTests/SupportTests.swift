import Foundation
import Testing

extension InteropSuite {
    /// The parts that the other tests stand on, with each other and without Hull.
    @Suite struct SupportTests {
        @Test func `a hand-made image is the same tree to podman, skopeo, umoci and docker`() throws
        {
            let image = try RandomImage()
            let podman = try Podman()
            try podman.skopeo(
                "copy", "oci:\(image.layout):\(image.tag)",
                "containers-storage:localhost/\(image.tag):1")
            let archive = podman.place / "archive.tar"
            let name = "localhost/\(image.tag):1"
            try podman("save", "-o", archive, name)
            let docker = try Workshop.docker()
            try docker("load", "-i", archive)
            #expect(try docker("image", "inspect", "-f", "{{.Id}}", name) == image.id)
            let tree = try podman.tree(of: name)
            // Docker's storage driver of this kind copies directories without their attributes.
            try expectSameTree(tree, try docker.tree(of: name), attributes: false)
            let place = try Place()
            try expectSameTree(tree, try umociTree(of: image.layout, tag: image.tag, in: place))
        }

        @Test func `podman runs a container here`() throws {
            let image = try RandomImage()
            let podman = try Podman()
            let name = "localhost/\(image.tag):1"
            try podman.skopeo(
                "copy", "oci:\(image.layout):\(image.tag)", "containers-storage:\(name)")
            #expect(try podman.runContainer(name) == image.greeting)
        }

        @Test func `a registry with a password and TLS lets in who has both`() throws {
            let authority = try CertificateAuthority()
            let account = DebianRegistry.Account()
            let registry = try DebianRegistry(account: account, authority: authority)
            let trust = try Place()
            try shell("cp '\(authority.file)' '\(trust / "ca.crt")'")
            let image = try RandomImage(layers: 1)
            let podman = try Podman()
            let target = "docker://\(registry.address)/\(image.tag):1"
            let login = ["--dest-creds", "\(account.name):\(account.password)"]
            let source = "oci:\(image.layout):\(image.tag)"
            let certificates = ["--dest-cert-dir", trust.path]
            let stranger = try podman.skopeoOutcome(["copy"] + certificates + [source, target])
            #expect(stranger.code != 0)
            let distrustful = try podman.skopeoOutcome(["copy"] + login + [source, target])
            #expect(distrustful.code != 0)
            let friend = try podman.skopeoOutcome(
                ["copy"] + certificates + login + [source, target])
            #expect(friend.code == 0, "\(friend)")
        }
    }
}
