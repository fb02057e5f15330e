import Kernel

/// The files that an image archive consists of, to be had by the names that they have in it.
protocol ArchiveFiles: AnyObject {
    /// What errors call the archive.
    var name: String { get }

    /// The file called `path`; nil where there is none.
    ///
    /// - Throws: `EBADMSG` where the name, or a link that it stands for, leads out of the archive.
    func find(_ path: String) throws(KernelError) -> StagedFile?
}

extension ArchiveFiles {
    /// The file called `path`, which has to be there.
    func require(_ path: String) throws(KernelError) -> StagedFile {
        guard let file = try find(path) else {
            throw corrupt(name, "A part of it is missing: \(shown(path)).")
        }
        return file
    }

    func leadsOut(_ path: String) -> KernelError {
        corrupt(name, "\(shown(path)) leads out of it, and so it was not followed.")
    }

    /// A name out of an archive may hold anything, and an error has one line.
    func shown(_ path: String) -> String { "'\(FileName(path.utf8.prefix(200)).shown)'" }
}

/// `path` as it is seen from `directory`, without dots; nil where it leads out of the archive.
///
/// By the text alone: there is no directory yet in which a `..` could lead somewhere else.
func archivePath(_ path: String, from directory: String = "") -> String? {
    if path.hasPrefix("/") { return nil }
    var parts = directory.split(separator: "/")
    for part in path.split(separator: "/") {
        switch part {
        case ".": break
        case "..": if parts.popLast() == nil { return nil }
        default: parts.append(part)
        }
    }
    return parts.joined(separator: "/")
}
