import Images
import Isolation
import Kernel
import OCISpec

/// What a collector of garbage has to leave, though no name may lead to it: what all containers,
/// whether they run or not, and all mounts of images are made of.
///
/// - Throws: where a record cannot be read: what is not known to be free is in use.
public func imagesInUse(_ state: StateDirectories) throws(KernelError) -> ImagesInUse {
    var inUse = ImagesInUse()
    for user in try imageUsers(state) {
        if let digest = user.manifest?.digest { inUse.manifests.append(digest) }
        inUse.chains += user.layers.compactMap(chain)
    }
    return inUse
}

/// What uses an image, such as `container 0123456789ab`; nil where nothing does.
public func user(
    ofManifest digest: Digest, _ state: StateDirectories
) throws(KernelError) -> String? {
    try imageUsers(state).first { $0.manifest?.digest == digest }?.name
}

private struct ImageUser {
    let name: String
    let manifest: ContentDescriptor?
    let layers: [String]
}

private func imageUsers(_ state: StateDirectories) throws(KernelError) -> [ImageUser] {
    let containers = try Containers(state).records().map {
        ImageUser(name: "container \($0.id)", manifest: $0.manifest, layers: $0.layers)
    }
    let mounts = try ImageMounts(state).all().map {
        ImageUser(name: "the mount on \($0.target)", manifest: $0.manifest, layers: $0.layers)
    }
    return containers + mounts
}

/// A layer's directory is called `…/CHAIN/fs`.
private func chain(of path: String) -> Digest? {
    let parts = split(path, at: "/")
    guard parts.count > 2, parts.last == "fs" else { return nil }
    let name = parts[parts.count - 2]
    return Digest.Algorithm.allCases.lazy.compactMap { try? Digest("\($0.name):\(name)") }.first
}
