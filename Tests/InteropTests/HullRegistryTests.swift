import Foundation
import Testing

extension InteropSuite {
    /// hull-registry as podman, skopeo and docker see it.
    @Suite struct HullRegistryTests {
        @Test func `podman pushes and pulls, and the digests agree`() throws {
            let registry = try HullRegistry()
            let image = try RandomImage()
            let podman = try Podman()
            let name = "\(registry.address)/\(image.tag)/app:1"
            try podman.skopeo(
                "copy", "oci:\(image.layout):\(image.tag)", "containers-storage:\(name)")
            try podman("push", "--tls-verify=false", "--digestfile", podman.place / "digest", name)
            let pushed = try String(contentsOfFile: podman.place / "digest", encoding: .utf8)
            #expect(try digest(podman, "docker://\(name)") == pushed)
            let other = try Podman()
            try other("pull", "--tls-verify=false", name)
            #expect(try other("image", "inspect", "-f", "{{.Digest}}", name) == pushed)
            #expect(
                try other("image", "inspect", "-f", "{{.Id}}", name) == image.id.dropFirst(7))
            try expectSameTree(try podman.tree(of: name), try other.tree(of: name))
        }

        @Test func `skopeo's copy is the same to the byte, in every compression`() throws {
            let registry = try HullRegistry()
            let podman = try Podman()
            for compression in RandomImage.Compression.allCases {
                let image = try RandomImage(layers: 5, compression)
                let target = "docker://\(registry.address)/\(image.tag):1"
                try podman.skopeo(
                    "copy", "--preserve-digests", "--dest-tls-verify=false",
                    "oci:\(image.layout):\(image.tag)", target)
                let back = podman.place / image.tag
                try podman.skopeo(
                    "copy", "--preserve-digests", "--src-tls-verify=false", target, "oci:\(back):1")
                try run(["diff", "-r", "\(image.layout)/blobs", "\(back)/blobs"])
                #expect(try digest(podman, target) == image.manifest)
            }
        }

        @Test func `docker pushes and pulls, and has the same image`() throws {
            let registry = try HullRegistry()
            let image = try RandomImage()
            let podman = try Podman()
            let name = "\(registry.address)/\(image.tag):1"
            let archive = podman.place / "archive.tar"
            try podman.skopeo(
                "copy", "oci:\(image.layout):\(image.tag)", "docker-archive:\(archive):\(name)")
            let docker = try Workshop.docker()
            try docker("load", "-i", archive)
            let id = try docker("image", "inspect", "-f", "{{.Id}}", name)
            let output = try docker("push", name)
            let pushed = try #require(
                output.split(separator: " ").first { $0.hasPrefix("sha256:") })
            #expect(try digest(podman, "docker://\(name)") == pushed)
            try docker("image", "rm", name)
            #expect(try docker("pull", name).contains(pushed))
            #expect(try docker("image", "inspect", "-f", "{{.Id}}", name) == id)
        }

        @Test(arguments: [[], ["--token"]])
        func `with a password and TLS it lets in who has both`(options: [String]) throws {
            let authority = try CertificateAuthority()
            let account = DebianRegistry.Account()
            let registry = try HullRegistry(
                account: account, authority: authority, options: options)
            let trust = try Place()
            try shell("cp '\(authority.file)' '\(trust / "ca.crt")'")
            let image = try RandomImage(layers: 1)
            let podman = try Podman()
            let target = "docker://\(registry.address)/\(image.tag):1"
            let login = ["--dest-creds", "\(account.name):\(account.password)"]
            let source = "oci:\(image.layout):\(image.tag)"
            let certificates = ["--dest-cert-dir", trust.path]
            for incomplete in [certificates, login] {
                let outcome = try podman.skopeoOutcome(["copy"] + incomplete + [source, target])
                #expect(outcome.code != 0)
            }
            let wrong = ["--dest-creds", "\(account.name):\(randomWord())"]
            #expect(
                try podman.skopeoOutcome(["copy"] + certificates + wrong + [source, target]).code
                    != 0)
            let friend = try podman.skopeoOutcome(
                ["copy"] + certificates + login + [source, target])
            #expect(friend.code == 0, "\(friend)")
            try podman(
                "pull", "--cert-dir", trust.path, "--creds",
                "\(account.name):\(account.password)", "\(registry.address)/\(image.tag):1")
        }

        @Test func `from docker-registry and back, nothing has changed`() throws {
            let (debian, hull) = (try DebianRegistry(), try HullRegistry())
            let image = try RandomImage(layers: 4)
            let podman = try Podman()
            let insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"]
            let name = image.tag + ":1"
            let route = [
                "oci:\(image.layout):\(image.tag)", "docker://\(debian.address)/\(name)",
                "docker://\(hull.address)/\(name)", "docker://\(debian.address)/back/\(name)",
            ]
            for (source, target) in zip(route, route.dropFirst()) {
                let outcome = try podman.skopeoOutcome(
                    ["copy", "--preserve-digests"] + insecure + [source, target])
                #expect(outcome.code == 0, "\(outcome)")
            }
            #expect(try digest(podman, route[3]) == image.manifest)
            let back = podman.place / "back"
            try podman.skopeo(
                "copy", "--preserve-digests", "--src-tls-verify=false", route[3], "oci:\(back):1")
            try run(["diff", "-r", "\(image.layout)/blobs", "\(back)/blobs"])
        }

        @Test func `a repository on disk is an OCI layout that skopeo reads`() throws {
            let registry = try HullRegistry()
            let image = try RandomImage()
            let podman = try Podman()
            try podman.skopeo(
                "copy", "--preserve-digests", "--dest-tls-verify=false",
                "oci:\(image.layout):\(image.tag)",
                "docker://\(registry.address)/lib/\(image.tag):1")
            let layout = "\(registry.root)/repositories/lib+\(image.tag)"
            try waitUntil("the index") {
                try String(contentsOfFile: layout + "/index.json", encoding: .utf8)
                    .contains(image.manifest)
            }
            let back = podman.place / "back"
            try podman.skopeo("copy", "--preserve-digests", "oci:\(layout):1", "oci:\(back):1")
            try run(["diff", "-r", "\(image.layout)/blobs/sha256", "\(back)/blobs/sha256"])
        }

        private func digest(_ podman: Podman, _ target: String) throws -> String {
            try podman.skopeo("inspect", "--tls-verify=false", "-f", "{{.Digest}}", target)
        }
    }
}
