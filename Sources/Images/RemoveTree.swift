import Glibc
import Kernel

/// Removes whatever is at `path`, with all that is below it; symbolic links are not followed.
///
/// Nothing there is no error.
func removeTree(_ path: String) throws(KernelError) {
    try removeTree(FileName(path.utf8), at: AT_FDCWD)
}

/// Removes `name` in `directory`, with all that is below it.
func removeTree(_ name: FileName, at directory: CInt) throws(KernelError) {
    if name.withCName({ unlinkat(directory, $0, 0) }) == 0 { return }
    let errno = Errno.current
    if errno == .noSuchFile { return }
    guard errno == .isDirectory || errno == .notPermitted else {
        throw KernelError("unlink", name.shown, errno)
    }
    try removeEntries(of: name, at: directory)
    if name.withCName({ unlinkat(directory, $0, AT_REMOVEDIR) }) < 0 {
        throw KernelError("rmdir", name.shown, .current)
    }
}

private func removeEntries(of name: FileName, at directory: CInt) throws(KernelError) {
    let opened = name.withCName {
        openat(directory, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    }
    guard opened >= 0 else { throw KernelError("open", name.shown, .current) }
    let subdirectory = Descriptor(owning: opened)
    for entry in try directoryEntries(subdirectory) {
        try removeTree(entry, at: subdirectory.number)
    }
}

/// The names in an open directory, sorted by their bytes, without `.` and `..`.
func directoryEntries(_ directory: borrowing Descriptor) throws(KernelError) -> [FileName] {
    // fdopendir takes its descriptor over, and reading moves it; so it gets one of its own.
    let own = openat(directory.number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard own >= 0, let stream = fdopendir(own) else {
        throw KernelError("opendir", "descriptor \(directory.number)", .current)
    }
    defer { closedir(stream) }
    var names: [FileName] = []
    while let entry = readdir(stream) {
        let length = Int(entry.pointee.d_reclen)
        let name = UnsafeRawBufferPointer(start: entry, count: length)
            .dropFirst(MemoryLayout.offset(of: \dirent.d_name) ?? 0).prefix { $0 != 0 }
        if !name.elementsEqual([46]) && !name.elementsEqual([46, 46]) { names.append(Array(name)) }
    }
    return names.sorted { $0.lexicographicallyPrecedes($1) }
}
