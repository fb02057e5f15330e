import Foundation
import OCISpec
import Testing

extension InteropSuite {
    /// `hull image import` beside `docker import` and `podman import`.
    @Suite struct ImportTests {
        @Test func `the same archive becomes the same layer, and the same tree`() throws {
            let image = try RandomImage(layers: 1)
            let archive = image.rootArchive
            let (podman, docker, hull) = (try Podman(), try Workshop.docker(), try Hull())
            let name = "localhost/\(image.tag):in"
            let changes = [
                "CMD [\"cat\", \"/greeting\"]", "ENV A=\(randomWord())", "WORKDIR /dir",
                "USER 12:34", "LABEL org.example.label=\(randomWord())", "EXPOSE 80/tcp",
                "VOLUME /data", "ENTRYPOINT [\"/bin/sh\", \"-c\"]",
            ].map { "--change=" + $0 }
            try hull.run(["image", "import"] + changes + [archive, name])
            try docker.run(["import"] + changes + [archive, name])
            try podman.run(["import"] + changes + [archive, name])

            let configuration = try hull.configuration(of: name)
            let own = JSONReader(try JSON.parse(configuration))
            let layers = try own["rootfs"]["diff_ids"].strings().joined(separator: " ")
            #expect(
                try docker("image", "inspect", "-f", "{{join .RootFS.Layers \" \"}}", name)
                    == layers)
            let podmanLayers = try podman(
                "image", "inspect", "-f", "{{range .RootFS.Layers}}{{.}}{{end}}", name)
            #expect(podmanLayers == layers)

            let theirs = JSONReader(
                try JSON.parse(try docker("image", "inspect", "-f", "{{json .Config}}", name)))
            for key in ["Cmd", "Entrypoint", "Env"] {
                #expect(try own["config"][key].strings() == theirs[key].strings(), "\(key)")
            }
            for key in ["User", "WorkingDir"] {
                #expect(try own["config"][key].string() == theirs[key].string(), "\(key)")
            }
            for key in ["ExposedPorts", "Volumes", "Labels"] {
                #expect(try own["config"][key].names() == theirs[key].names(), "\(key)")
            }

            let tree = try hull.tree(of: name, configuration)
            try expectSameTree(tree, try podman.tree(of: name))
            try expectSameTree(tree, try docker.tree(of: name), attributes: false)
        }

        @Test func `with a fixed date the same directory is the same image`() throws {
            let image = try RandomImage(layers: 1)
            let place = try Place()
            try shell(
                """
                mkdir '\(place / "one")'
                tar --numeric-owner --xattrs -C '\(place / "one")' -xpf '\(image.rootArchive)'
                cp -a '\(place / "one")' '\(place / "other")'
                """)
            var ids: Set<String> = []
            for name in ["one", "other"] {
                let hull = try Hull(environment: ["SOURCE_DATE_EPOCH": "1700000000"])
                ids.insert(try hull("image", "import", place / name, "localhost/\(image.tag):1"))
                let configuration = try hull.configuration(of: "localhost/\(image.tag):1")
                #expect(configuration.contains("2023-11-14T22:13:20Z"))
            }
            #expect(ids.count == 1, "\(ids)")
        }
    }
}
