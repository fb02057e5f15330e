import CLinux
import Glibc
import Kernel
import OCISpec

/// An image archive that is a directory: an OCI image layout, or an archive that was unpacked.
///
/// It may be somebody else's, with links that lead to /etc/shadow: the kernel resolves its names,
/// and refuses those that lead out of it. See `openat2(2)`, `RESOLVE_BENEATH`.
final class ArchiveDirectory: ArchiveFiles {
    let name: String
    private let directory: Descriptor
    private let area: StagingArea
    private let progress: (Int) -> Void
    private var done = 0
    private var staged: [String: StagedFile] = [:]

    init(
        _ path: String, into area: StagingArea, progress: @escaping (Int) -> Void
    ) throws(KernelError) {
        name = path
        self.area = area
        self.progress = progress
        directory = try Descriptor.open(path, O_RDONLY | O_DIRECTORY)
    }

    func find(_ path: String) throws(KernelError) -> StagedFile? {
        guard let path = archivePath(path) else { throw leadsOut(path) }
        if let known = staged[path] { return known }
        guard let content = try open(path) else { return nil }
        let algorithm: Digest.Algorithm = path.hasPrefix("blobs/sha512/") ? .sha512 : .sha256
        let file = try area.add(content, algorithm)
        staged[path] = file
        return file
    }

    private func open(_ path: String) throws(KernelError) -> FileSource? {
        let file: Descriptor
        do throws(KernelError) {
            // Not to wait for whoever should write to a FIFO, nor to take a terminal as our own.
            file = try Descriptor.openInside(
                path, O_RDONLY | O_NONBLOCK | O_NOCTTY, root: directory.number)
        } catch {
            switch error.errno {
            case .noSuchFile, .notDirectory: return nil
            case Errno(rawValue: EXDEV): throw leadsOut(path)
            default: throw error
            }
        }
        var status = stat()
        guard fstat(file.number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw corrupt(name, "\(shown(path)) is no regular file.")
        }
        let before = done
        done += Int(status.st_size)
        return FileSource(file, named: path) { [progress] count in progress(before + count) }
    }
}
