import Glibc

/// Removes a directory and everything in it; nothing to do where it is not there.
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
        let top = try Descriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        var moved = 0
        while try removeEntries(of: top, counting: &moved) {}
        try systemCall(
            "rmdir", [.text(path)], on: path, why: why, shell: "rm -rf \(quoteShell(path))"
        ) { rmdir(path) }
    } catch {
        if error.errno == .noSuchFile { return }
        throw error.renamed("remove", path)
    }
}

/// Removes the files of `top` and its directories, whose own directories move up to `top`.
///
/// - Returns: whether anything moved, so that there is more to remove.
private func removeEntries(
    of top: borrowing Descriptor, counting moved: inout Int
) throws(KernelError) -> Bool {
    let before = moved
    for name in try entries(of: top) where try !unlinkFile(name, in: top) {
        // Most are empty; those need not even be opened.
        if unlinkat(top.number, name, AT_REMOVEDIR) == 0 { continue }
        let directory = try Descriptor.open(
            rawName: name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: top.number)
        for child in try entries(of: directory) where try !unlinkFile(child, in: directory) {
            if unlinkat(directory.number, child, AT_REMOVEDIR) == 0 { continue }
            moved += 1
            try move(child, from: directory, to: top, as: ".removed-\(moved)")
        }
        if unlinkat(top.number, name, AT_REMOVEDIR) < 0 {
            throw KernelError("rmdir", "", .current)
        }
    }
    return moved > before
}

/// - Returns: false where it is a directory.
private func unlinkFile(_ name: [CChar], in directory: borrowing Descriptor) throws(KernelError)
    -> Bool
{
    if unlinkat(directory.number, name, 0) == 0 { return true }
    let errno = Errno.current
    if errno == .isDirectory { return false }
    throw KernelError("unlink", "", errno)
}

private func move(
    _ name: [CChar], from directory: borrowing Descriptor, to top: borrowing Descriptor,
    as newName: String
) throws(KernelError) {
    if renameat(directory.number, name, top.number, newName) == 0 { return }
    throw KernelError("rename", "", .current)
}

/// The names in an open directory, as the bytes they are: they need not be text.
private func entries(of directory: borrowing Descriptor) throws(KernelError) -> [[CChar]] {
    // The stream closes what it is given. The copy is at the start: nobody else reads here.
    let copy = try directory.duplicate()
    guard let stream = fdopendir(copy.number) else { throw KernelError("fdopendir", "", .current) }
    _ = copy.release()
    rewinddir(stream)
    defer { closedir(stream) }
    var names: [[CChar]] = []
    while let entry = readdir(stream) {
        let name = UnsafeRawPointer(entry) + (MemoryLayout<dirent>.offset(of: \.d_name) ?? 0)
        let characters = name.assumingMemoryBound(to: CChar.self)
        let bytes = Array(UnsafeBufferPointer(start: characters, count: strlen(characters) + 1))
        if bytes != [46, 0] && bytes != [46, 46, 0] { names.append(bytes) }
    }
    return names
}

extension Descriptor {
    fileprivate static func open(
        rawName: [CChar], _ flags: CInt, at directory: CInt
    ) throws(KernelError) -> Descriptor {
        let number = openat(directory, rawName, flags | O_CLOEXEC)
        guard number >= 0 else { throw KernelError("open", "", .current) }
        return Descriptor(owning: number)
    }
}
