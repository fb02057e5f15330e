import Foundation
import Testing

extension InteropSuite {
    /// The same layer, unpacked by Hull and by the others, is the same tree file by file.
    @Suite struct LayerTests {
        /// Programs and forms in which somebody may have written a layer. Podman refuses GNU tar's
        /// oldest form of a sparse file.
        enum Form: String, CaseIterable {
            case ustar = "tar --format=ustar"
            case gnu = "tar --format=gnu"
            case sparseOld = "tar --format=posix --sparse --sparse-version=0.1"
            case sparse = "tar --format=posix --sparse"
            case attributes = "tar --format=posix --xattrs --xattrs-include=*"
            case bsdtar = "bsdtar --format=pax --no-acls"
        }

        @Test(arguments: Form.allCases)
        func `hull, podman, docker and umoci make the same tree of a layer`(_ form: Form) throws {
            let image = try RandomImage(layers: 2)
            let place = try Place()
            try addLayer(form, to: image, in: place)
            let hull = try Hull()
            let podman = try Podman()
            let name = "localhost/\(image.tag):1"
            let archive = place / "image.tar"
            try podman.skopeo(
                "copy", "oci:\(image.layout):\(image.tag)", "oci-archive:\(archive):\(name)")
            try podman.skopeo("copy", "oci-archive:\(archive)", "containers-storage:\(name)")
            try hull("load", "-i", archive)
            let configuration = try podman.skopeo(
                "inspect", "--raw", "--config", "oci-archive:\(archive)")
            let ours = try hull.tree(of: name, configuration)
            try expectSameTree(
                ours, try umociTree(of: image.layout, tag: image.tag, in: place))
            try expectSameTree(ours, try podman.tree(of: name))
            let docker = try Workshop.docker()
            try podman.skopeo(
                "copy", "oci-archive:\(archive)", "docker-archive:\(archive).docker:\(name)")
            try docker("load", "-i", archive + ".docker")
            // Docker's storage driver of this kind copies directories without their attributes.
            try expectSameTree(ours, try docker.tree(of: name), attributes: false)
        }

        /// One of everything that the form can hold, on top of an image's layers.
        private func addLayer(_ form: Form, to image: RandomImage, in place: Place) throws {
            let words = form.rawValue.split(separator: " ").map { "'\($0)'" }
            try shell(
                """
                cd '\(place.path)'; mkdir -p tree/new/deep tree/dir; cd tree
                echo \(randomWord()) > new/file; ln new/file new/deep/hard; ln -s ../file new/deep/soft
                truncate -s 3M new/holes; echo data | dd of=new/holes seek=2000 conv=notrunc status=none
                mknod new/null c 1 3; mkfifo new/fifo; chmod 4711 new/file; chown 77:88 new/deep
                echo x > 'new/ü name'; : > dir/.wh.random; setfattr -n user.more -v 1 new/file
                mkdir -p new/\(String(repeating: "l", count: 60))/\(String(repeating: "m", count: 60))
                touch -d '2003-04-05 06:07:08' new/file; chmod 750 dir
                cd ..; \(words.joined(separator: " ")) --numeric-owner -cf layer.tar -C tree new dir
                umoci raw add-layer --image '\(image.layout):\(image.tag)' layer.tar
                """)
        }
    }
}
