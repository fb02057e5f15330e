import Foundation
import Testing

extension InteropSuite {
    /// Our client and everybody else's at Debian's docker-registry.
    @Suite("Stage 9, the client") struct RegistryClientTests {
        @Test func `what skopeo pushed is pulled, and what is pushed again is the same to all`()
            throws
        {
            let registry = try DebianRegistry()
            let image = try RandomImage()
            let podman = try Podman()
            let hull = try Hull()
            let there = "\(registry.address)/\(image.tag)"
            try podman.skopeo(
                "copy", "--dest-tls-verify=false", "oci:\(image.layout):\(image.tag)",
                "docker://\(there):1")
            #expect(try hull("pull", "--quiet", "\(there):1") == image.manifest)
            #expect(try hull("push", "--quiet", "\(there):1", "\(there)/again:2") == image.manifest)
            // Another repository, so that what is there is not what was pushed.
            let other = try DebianRegistry()
            let copy = "\(other.address)/x/\(image.tag):3"
            #expect(try hull("push", "--quiet", "\(there):1", copy) == image.manifest)
            let layout = podman.place / "layout"
            try podman.skopeo(
                "copy", "--src-tls-verify=false", "docker://\(copy)", "oci:\(layout):x")
            try shell("diff -r '\(image.layout)/blobs' '\(layout)/blobs'")
            try podman("pull", "--tls-verify=false", "--quiet", copy)
            #expect(
                try podman("image", "inspect", "--format", "{{.Digest}}", copy) == image.manifest)
            let docker = try Workshop.docker()
            try docker("pull", "--quiet", copy)
            #expect(try docker("image", "inspect", "-f", "{{.Id}}", copy) == image.id)
            #expect(
                try docker("image", "inspect", "-f", "{{index .RepoDigests 0}}", copy)
                    .hasSuffix(image.manifest))
            try docker("rmi", copy)
        }

        @Test func `what podman and docker push is pulled, digest for digest`() throws {
            let registry = try DebianRegistry()
            let image = try RandomImage()
            let podman = try Podman()
            let local = "localhost/\(image.tag):1"
            try podman.skopeo(
                "copy", "oci:\(image.layout):\(image.tag)", "containers-storage:\(local)")
            let byPodman = "\(registry.address)/podman/\(image.tag):1"
            try podman(
                "push", "--quiet", "--tls-verify=false", "--digestfile",
                podman.place / "digest", local, byPodman)
            let digest = try shell("cat '\(podman.place / "digest")'")
            let hull = try Hull()
            #expect(try hull("pull", "--quiet", byPodman) == digest)
            let archive = podman.place / "archive.tar"
            try podman("save", "-o", archive, local)
            let docker = try Workshop.docker()
            let byDocker = "\(registry.address)/docker/\(image.tag):1"
            try docker("load", "-i", archive)
            try docker("tag", local, byDocker)
            try docker("push", "--quiet", byDocker)
            let pushed = try docker(
                "image", "inspect", "-f", "{{index .RepoDigests 0}}", byDocker)
            #expect(pushed.hasSuffix(try hull("pull", "--quiet", byDocker)))
            // Docker's manifest has types of its own; it is pushed on as it is.
            let on = "\(registry.address)/on/\(image.tag):1"
            #expect(pushed.hasSuffix(try hull("push", "--quiet", byDocker, on)))
            try docker("rmi", byDocker)
        }

        @Test func `a registry with a password and TLS of its own takes who has both`() throws {
            let authority = try CertificateAuthority()
            let account = DebianRegistry.Account()
            let registry = try DebianRegistry(account: account, authority: authority)
            let trust = try Place()
            try shell("cp '\(authority.file)' '\(trust / "ca.crt")'")
            let image = try RandomImage(layers: 2)
            let podman = try Podman()
            let there = "\(registry.address)/\(image.tag):1"
            try podman.skopeo(
                "copy", "--dest-cert-dir", trust.path, "--dest-creds",
                "\(account.name):\(account.password)", "oci:\(image.layout):\(image.tag)",
                "docker://\(there)")
            let hull = try Hull()
            let stranger = try hull.outcome(of: "pull", there)
            #expect(stranger.code == 125)
            #expect(stranger.errors.contains("/etc/docker/certs.d/\(registry.address)/ca.crt"))
            let nameless = try hull.outcome(of: "pull", "--cert-dir", trust.path, there)
            #expect(nameless.code == 125)
            #expect(nameless.errors.contains("hull login \(registry.address)"))
            let right = try trust.makeFile("right", account.password + "\n")
            let wrong = try trust.makeFile("wrong", randomWord())
            let login = ["--cert-dir", trust.path, "-u", account.name, "--password-stdin"]
            let refused = try hull.outcome(
                of: "login", login[0], login[1], login[2], login[3], login[4], registry.address,
                input: wrong)
            #expect(refused.code == 125)
            #expect(refused.errors.contains("EACCES"))
            let config = hull.place / ".docker/config.json"
            #expect(!FileManager.default.fileExists(atPath: config))
            try hull(
                "login", login[0], login[1], login[2], login[3], login[4], registry.address,
                input: right)
            #expect(
                try FileManager.default.attributesOfItem(atPath: config)[.posixPermissions]
                    as? Int == 0o600)
            #expect(
                try hull("pull", "--quiet", "--cert-dir", trust.path, there) == image.manifest)
            let again = "\(registry.address)/again/\(image.tag):2"
            #expect(
                try hull("push", "--quiet", "--cert-dir", trust.path, there, again)
                    == image.manifest)
            // What we have written down is understood by podman's.
            try run([
                "skopeo", "inspect", "--authfile", config, "--cert-dir", trust.path,
                "docker://\(again)",
            ])
            try hull("logout", registry.address)
            #expect(try hull.outcome(of: "pull", "--cert-dir", trust.path, there).code == 125)
        }

        @Test func `a container of an image that is not here gets it first`() throws {
            let registry = try DebianRegistry()
            let image = try RandomImage()
            let podman = try Podman()
            let there = "\(registry.address)/\(image.tag):1"
            try podman.skopeo(
                "copy", "--dest-tls-verify=false", "oci:\(image.layout):\(image.tag)",
                "docker://\(there)")
            let hull = try Hull()
            let never = try hull.outcome(
                of: "run", "--rm", "--network", "none", "--pull", "never", there)
            #expect(never.code == 125)
            #expect(try hull("run", "--rm", "--network", "none", there) == image.greeting)
            // And the second time without the registry being asked.
            #expect(
                try hull("run", "--rm", "--network", "none", "--pull", "never", there)
                    == image.greeting)
        }

        @Test func `a killed pull is gone on with, and its store is whole after every kill`() throws
        {
            let registry = try DebianRegistry()
            let place = try Place()
            let layers = (0..<3).map { "layer\($0)" }
            // Large enough to be hit in the middle.
            try shell(
                """
                cd '\(place.path)'; mkdir root
                for name in \(layers.joined(separator: " ")); do
                    head -c 20000000 /dev/urandom > root/$name; done
                """)
            let first = try Hull()
            let there = "\(registry.address)/\(randomWord()):1"
            try first("image", "import", place / "root", there)
            let digest = try first("push", "--quiet", there)
            let hull = try Hull()
            for _ in 0..<8 {
                let delay = Double.random(in: 0.02...0.25)
                try shell(
                    """
                    HULL_ROOT='\(hull.state)' HOME='\(hull.place.path)' timeout -s KILL \(delay) \
                        '\(Hull.products)/hull' pull --quiet '\(there)' || true
                    """)
            }
            #expect(try hull("pull", "--quiet", there) == digest)
            let ingest = try shell("ls '\(hull.state)/images/ingest'")
            #expect(ingest == "lock")
            let sums = try shell(
                """
                cd '\(hull.state)/images/blobs/sha256'
                for blob in *; do [ "$(sha256sum < $blob)" = "$blob  -" ] || echo $blob; done
                """)
            #expect(sums == "")
        }
    }
}
