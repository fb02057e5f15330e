import Glibc
import Kernel
import OCISpec

/// Keeps an image for as long as it lives, whatever happens to its names.
///
/// It is for a program that uses an image and keeps no record of it: a note in `pins/` that the
/// garbage collector believes for as long as its writer holds the lock on it.
public struct ImagePin: ~Copyable, Sendable {
    /// The image that is kept.
    public let image: Image
    private let entry: ScratchEntry

    fileprivate init(_ image: Image, _ entry: consuming ScratchEntry) {
        self.image = image
        self.entry = entry
    }

    deinit { unlink(entry.path) }
}

extension ContentStore {
    /// Finds an image, and keeps it and its snapshots until the pin goes.
    public func pin(
        _ name: String, platform: Platform? = nil
    ) throws(KernelError) -> ImagePin {
        let lease = try hold()
        let image = try resolve(name, platform: platform)
        let entry = try pins.makeFile()
        try entry.descriptor.write("\(image.descriptor.digest)\n")
        lease.release()
        return ImagePin(image, entry)
    }

    /// What living programs have pinned; the notes of dead ones are removed.
    func pinned() throws(KernelError) -> [Digest] {
        guard fileType(pins.directory) != nil else { return [] }
        try pins.sweep()
        var digests: [Digest] = []
        for name in try namesInDirectory(pins.directory) where name != "lock" {
            guard let text = try? readText(pins.directory + "/" + name),
                let digest = try? Digest(String(text.prefix { $0 != "\n" }))
            else { continue }
            digests.append(digest)
        }
        return digests
    }

    private var pins: ScratchSpace { ScratchSpace(directory: path + "/pins") }
}
