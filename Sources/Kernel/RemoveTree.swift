import Glibc

/// Removes a file, or a directory and everything in it; nothing to do where it is not there.
///
/// A sandbox may have left anything: directories a hundred thousand deep, names that no
/// path is long enough for, symbolic links to the host's files. So there is no recursion
/// and no path: a directory inside a directory is first moved up to the top, and then
/// removed like the others there. No symbolic link is followed.
/// - Throws: the first refusal, such as `EBUSY` where something is mounted in there.
public func removeTree(
    _ path: String, why: StaticString = "empty by now, and nobody's any more"
) throws(KernelError) {
    do throws(KernelError) {
        if try unlinkFile(FileName(path.utf8), at: AT_FDCWD) { return }
        try emptyDirectory(FileName(path.utf8), at: AT_FDCWD)
        try systemCall(
            "rmdir", [.text(path)], on: path, why: why, shell: "rm -rf \(quoteShell(path))"
        ) { rmdir(path) }
    } catch {
        if error.errno == .noSuchFile { return }
        throw error.renamed("remove", path)
    }
}

/// Removes whatever `name` is in the open directory `parent`, a file or a whole tree.
public func removeTree(_ name: FileName, at parent: CInt) throws(KernelError) {
    if try unlinkFile(name, at: parent) { return }
    try emptyDirectory(name, at: parent)
    if name.withCName({ unlinkat(parent, $0, AT_REMOVEDIR) }) < 0 {
        throw KernelError("rmdir", name.shown, .current)
    }
}

private func emptyDirectory(_ name: FileName, at parent: CInt) throws(KernelError) {
    let top = try openDirectory(name, at: parent)
    var moved = 0
    while try removeEntries(of: top, counting: &moved) {}
}

/// Removes the files of `top` and its directories, whose own directories move up to `top`.
///
/// - Returns: whether anything moved, so that there is more to remove.
private func removeEntries(
    of top: borrowing Descriptor, counting moved: inout Int
) throws(KernelError) -> Bool {
    let before = moved
    for name in try directoryEntries(top) where try !unlinkFile(name, at: top.number) {
        // Most are empty; those need not even be opened.
        if removeEmpty(name, at: top.number) { continue }
        let directory = try openDirectory(name, at: top.number)
        for child in try directoryEntries(directory)
        where try !unlinkFile(child, at: directory.number)
            && !removeEmpty(child, at: directory.number)
        {
            // Only its owner's own permissions let a directory change its parent; overlayfs leaves
            // one without any, which is empty.
            moved += 1
            try move(child, from: directory, to: top, as: ".removed-\(moved)")
        }
        if name.withCName({ unlinkat(top.number, $0, AT_REMOVEDIR) }) < 0 {
            throw KernelError("rmdir", name.shown, .current)
        }
    }
    return moved > before
}

/// - Returns: false where it is not an empty directory.
private func removeEmpty(_ name: FileName, at directory: CInt) -> Bool {
    name.withCName { unlinkat(directory, $0, AT_REMOVEDIR) } == 0
}

/// - Returns: false where it is a directory.
private func unlinkFile(_ name: FileName, at directory: CInt) throws(KernelError) -> Bool {
    if name.withCName({ unlinkat(directory, $0, 0) }) == 0 { return true }
    let errno = Errno.current
    if errno == .noSuchFile { return true }
    if errno == .isDirectory { return false }
    throw KernelError("unlink", name.shown, errno)
}

private func move(
    _ name: FileName, from directory: borrowing Descriptor, to top: borrowing Descriptor,
    as newName: String
) throws(KernelError) {
    let source = directory.number
    let target = top.number
    if name.withCName({ renameat(source, $0, target, newName) }) == 0 { return }
    throw KernelError("rename", name.shown, .current)
}

private func openDirectory(_ name: FileName, at parent: CInt) throws(KernelError) -> Descriptor {
    let number = name.withCName {
        openat(parent, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    }
    guard number >= 0 else { throw KernelError("open", name.shown, .current) }
    return Descriptor(owning: number)
}
