import Engine
import Images
import Isolation
import Kernel

extension ImageCall {
    /// What containers and mounts use.
    func inUse() throws(KernelError) -> ImagesInUse { try imagesInUse(state) }

    /// What uses the image, such as `container 0123456789ab`; nil where nothing does.
    func user(of image: Image) throws(KernelError) -> String? {
        try Engine.user(ofManifest: image.descriptor.digest, state)
    }

    /// Takes away what no name leads to any more.
    ///
    /// - Returns: a line on what that gave.
    func collectGarbage() throws(KernelError) -> String {
        let freed = try GarbageCollector(stateRoot: state.root).collect(
            takesDownloads: false, patience: 1, inUse: inUse)
        return freed?.summary
            ?? "Its blobs stay for now: an image is being written. `hull image prune` frees them."
    }
}
