import Glibc
import Kernel
import OCISpec

/// Takes images into the store out of an archive, as `docker load` does.
///
/// It knows the archives of `docker save`, old and new, and OCI image layouts, as podman, skopeo and
/// others write them.
public struct ImageLoader: Sendable {
    /// Where the archive is.
    public enum Input: Sendable {
        /// In a file, compressed or not.
        case file(String)
        /// In a directory: an image layout, or an archive that was unpacked.
        case directory(String)
        /// It comes in by standard input.
        case standardInput
    }

    /// An image that is in the store now.
    public struct Loaded: Sendable {
        /// Its names; none where the archive has none for it.
        public let references: [ImageReference]
        /// The digest of its configuration or, where it is made for other machines, of its index.
        public let id: Digest
    }

    private let store: ContentStore
    private let limits: UnpackLimits?

    /// Loads into a store.
    ///
    /// - Parameter limits: how large an archive, and each layer in it, may become; nil for what
    ///   the environment says.
    public init(into store: ContentStore, limits: UnpackLimits? = nil) {
        self.store = store
        self.limits = limits
    }

    /// Loads all images of the archive.
    ///
    /// Everything is checked before the first blob is kept, and all blobs are there before the
    /// first name is given: what is wrong with an archive, or a power cut, leaves no half image.
    public func load(
        from input: Input, progress: @escaping ProgressHandler = { _ in }
    ) throws(KernelError) -> [Loaded] {
        let area = try StagingArea(in: store)
        let files = try open(input, area, progress)
        let images = try images(in: files, area, progress)
        // From the first blob to the last name nothing may be collected as garbage.
        let lease = try store.hold()
        for image in images {
            for file in image.files { try area.keep(file) }
        }
        for image in images { try name(image) }
        lease.release()
        return images.map { Loaded(references: $0.references, id: $0.id) }
    }

    private func name(_ image: ArchivedImage) throws(KernelError) {
        if image.references.isEmpty { try store.tag(image.descriptor, as: nil) }
        for reference in image.references { try store.tag(image.descriptor, as: reference) }
    }

    /// Docker's newer archives are both: the layout keeps the manifests' digests.
    private func images(
        in files: any ArchiveFiles, _ area: StagingArea, _ progress: @escaping ProgressHandler
    ) throws(KernelError) -> [ArchivedImage] {
        let check = LayerCheck(limits: limits, progress: progress)
        if try files.find("index.json") != nil {
            var reader = LayoutReader(files, check)
            return try reader.images()
        }
        if try files.find(DockerArchiveEntry.list) != nil {
            var reader = DockerArchiveReader(files, area, check)
            return try reader.images()
        }
        throw corrupt(
            files.name,
            "It holds neither index.json nor manifest.json, so it is no archive of images. "
                + "A root file system is imported: `hull image import`.")
    }

    private func open(
        _ input: Input, _ area: StagingArea, _ progress: @escaping ProgressHandler
    ) throws(KernelError) -> any ArchiveFiles {
        switch input {
        case .directory(let path):
            return try ArchiveDirectory(path, into: area) { done in
                progress(Progress(step: "Loading", done: done, total: nil))
            }
        case .file(let path):
            return try stream(try openFile(path), named: path, into: area, progress)
        case .standardInput:
            let name = "standard input"
            let own = fcntl(0, F_DUPFD_CLOEXEC, 3)
            guard own >= 0 else { throw KernelError("read", name, .current) }
            return try stream(Descriptor(owning: own), named: name, into: area, progress)
        }
    }

    private func openFile(_ path: String) throws(KernelError) -> Descriptor {
        do { return try Descriptor.open(path, O_RDONLY) } catch  where error.errno == .noSuchFile {
            throw error.advising("Give an archive or a directory, or none to read standard input.")
        }
    }

    private func stream(
        _ file: consuming Descriptor, named name: String, into area: StagingArea,
        _ progress: @escaping ProgressHandler
    ) throws(KernelError) -> any ArchiveFiles {
        var status = stat()
        let isFile = fstat(file.number, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        let total = isFile ? Int(status.st_size) : nil
        let source = FileSource(file, named: name) { done in
            progress(Progress(step: "Loading", done: done, total: total))
        }
        return try StreamedArchive(source, named: name, into: area, limits: limits)
    }
}
