import Glibc
import Images
import Isolation
import Kernel
import OCISpec

/// An image that shows as a directory of the host's, to be read.
public struct ImageMount: Sendable {
    /// Twelve hexadecimal digits.
    public let id: String
    /// The image's name, as it was asked for.
    public let image: String
    /// Where it shows.
    public let target: String
    /// The directories that it is made of, the topmost first.
    public let layers: [String]
    /// Its manifest.
    public let manifest: ContentDescriptor
    /// The boot in which it was mounted: no mount outlives one.
    fileprivate let boot: String

    /// Whether it is there.
    public var isMounted: Bool { (try? isMountPoint(target)) ?? false }
}

/// The images that are mounted on this machine: `ROOT/mounts/ID/mount.json`.
///
/// Nobody has to run for a mount to stay. The note is what the collector of garbage finds.
public struct ImageMounts: Sendable {
    private let path: String

    /// Those below `state`.
    public init(_ state: StateDirectories) { path = state.root + "/mounts" }

    /// All of them; those of an earlier boot are forgotten first.
    public func all() throws(KernelError) -> [ImageMount] {
        guard fileType(path) == .directory else { return [] }
        let boot = try bootID()
        var mounts: [ImageMount] = []
        for id in try namesInDirectory(path) {
            let mount: ImageMount
            do { mount = try ImageMount(id: id, from: note(id)) } catch
                where error.errno == .noSuchFile
            { continue }
            if mount.boot == boot { mounts.append(mount) } else { try removeTree("\(path)/\(id)") }
        }
        return mounts
    }

    private func note(_ id: String) -> String { "\(path)/\(id)/mount.json" }

    // book: begin image-mount
    /// Mounts an image.
    ///
    /// The note comes first: whatever happens then, somebody knows of the mount and its layers.
    /// - Parameters:
    ///   - target: a directory that is there; nil for one below the state directory.
    ///   - lease: what keeps the layers until the note names them.
    /// - Returns: where it shows.
    public func mount(
        _ image: Image, called name: String, layers: [String], on target: String?,
        _ lease: borrowing StoreLease
    ) throws(KernelError) -> String {
        if OrdinaryUser.isRootOfItsOwn { throw notForOrdinaryUsers(name) }
        let id = randomName()
        let directory = "\(path)/\(id)"
        let making = try OwnedDirectory(in: path + "/making", why: "a note that is not whole yet")
        try makeDirectory(making.path + "/merged", why: "a place to show the image")
        let own = try resolvedPath(path) + "/\(id)/merged"
        let mount = ImageMount(
            id: id, image: name, target: try target.map(resolvedPath) ?? own, layers: layers,
            manifest: image.descriptor, boot: try bootID())
        try replaceFile(
            making.path + "/mount.json", with: mount.json.text(indent: 2).utf8, durable: false)
        if rename(making.path, directory) < 0 { throw KernelError("rename", directory, .current) }
        try making.release()
        do throws(KernelError) {
            try show(layers, on: mount.target, in: directory)
            return mount.target
        } catch {
            try? removeTree(directory)
            throw error
        }
    }

    private func show(
        _ layers: [String], on target: String, in directory: String
    ) throws(KernelError) {
        // One layer is no union; overlayfs refuses it.
        if layers.count == 1, let only = layers.first {
            try Kernel.mount(only, on: target, [.bind], why: "the only layer, a second time")
            return try Kernel.mount(
                nil, on: target, [.remount, .bind, .readOnly], why: "an image never changes")
        }
        var union = LayeredMount(lower: layers, directory: directory)
        union.isReadOnly = true
        if !isInFirstUserNamespace { union.flags.append("userxattr") }
        try union.prepare()
        try union.mount(on: target, why: "one tree out of the layers, to be read")
    }
    // book: end image-mount

    /// Takes the mounts away that `word` means: an image, a directory or an id.
    /// - Throws: `ENOENT` where it means none.
    /// - Returns: where they were.
    public func unmount(_ word: String) throws(KernelError) -> [String] {
        let directory = try? resolvedPath(word)
        let matches = try all().filter { mount in
            mount.image == word || mount.target == directory || mount.id == word
        }
        if matches.isEmpty {
            throw KernelError(
                "unmount image", word.isEmpty ? "\"\"" : word, .noSuchFile,
                remedy: "`hull image mount` lists what is mounted.")
        }
        for mount in matches { try remove(mount) }
        return matches.map(\.target)
    }

    /// The note goes last: until then the layers are in use.
    private func remove(_ mount: ImageMount) throws(KernelError) {
        if mount.isMounted {
            try Kernel.unmount(mount.target, why: "nobody wants to read the image any more")
        }
        try removeTree("\(path)/\(mount.id)")
    }

    private func notForOrdinaryUsers(_ name: String) -> KernelError {
        KernelError(
            "mount image", name, .notPermitted,
            remedy: "An ordinary user's mounts are seen by the program alone that makes them."
                + " Run it as root, or look at the files with `hull run`.")
    }
}

extension ImageMount {
    fileprivate init(id: String, from path: String) throws(KernelError) {
        let bytes = try readFile(path)
        do throws(SpecificationError) {
            let json = JSONReader(try JSON.parse(bytes))
            self.id = id
            image = try json["image"].string()
            target = try json["target"].string()
            layers = try json["layers"].strings()
            manifest = try ContentDescriptor(json["manifest"])
            boot = try json["boot"].string()
        } catch {
            throw KernelError(
                "read", path, .invalidArgument, remedy: "It is damaged (\(error)).")
        }
    }

    /// As it is written.
    public var json: JSON {
        .object(present: [
            ("id", .string(id)), ("image", .string(image)), ("target", .string(target)),
            ("layers", .strings(layers)), ("manifest", manifest.json), ("boot", .string(boot)),
        ])
    }
}
