import Kernel
import OCISpec

extension MediaType {
    static let zstdLayer = "application/vnd.oci.image.layer.v1.tar+zstd"
    static func isConfiguration(_ type: String) -> Bool {
        type == configuration || type == "application/vnd.docker.container.image.v1+json"
    }
}

extension ContentStore {
    func find(_ name: String, in index: ImageIndex) throws(KernelError) -> ContentDescriptor {
        let image = try resolve(name)
        return index.manifests.last { $0.tag == image.reference?.description } ?? image.descriptor
    }
}
