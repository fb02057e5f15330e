import CLinux
import Glibc

/// Makes a directory. See `mkdir(2)`.
public func makeDirectory(
    _ path: String, mode: mode_t = 0o755, why: StaticString
) throws(KernelError) {
    try systemCall(
        "mkdir", [.text(path), .mode(mode)], on: path, why: why,
        shell: "mkdir -m \(String(mode, radix: 8)) \(quoteShell(path))"
    ) { mkdir(path, mode) }
}

/// Makes a directory and those above it that are missing.
///
/// Only the missing ones are narrated.
public func makeDirectories(
    _ path: String, mode: mode_t = 0o755, why: StaticString
) throws(KernelError) {
    if fileType(path) == .directory { return }
    if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
        try makeDirectories(String(path[..<slash]), mode: mode, why: why)
    }
    do {
        try makeDirectory(path, mode: mode, why: why)
    } catch  where error.errno == .fileExists && fileType(path) == .directory {
        // Another process was quicker; that is as good.
    }
}

/// Makes a device node. See `mknod(2)`.
public func makeDevice(
    _ path: String, major: UInt32, minor: UInt32, mode: mode_t, isBlock: Bool = false,
    why: StaticString
) throws(KernelError) {
    let letter = isBlock ? "b" : "c"
    try systemCall(
        "mknod",
        [
            .text(path),
            .symbol((isBlock ? "S_IFBLK" : "S_IFCHR") + "|0" + String(mode, radix: 8)),
            .symbol("makedev(0x\(String(major, radix: 16)), 0x\(String(minor, radix: 16)))"),
        ],
        on: path, why: why,
        shell: "mknod -m \(String(mode, radix: 8)) \(quoteShell(path)) \(letter) \(major) \(minor)"
    ) { mknod(path, (isBlock ? S_IFBLK : S_IFCHR) | mode, device_number(major, minor)) }
}

/// Makes a symbolic link at `path`. See `symlink(2)`.
public func makeSymbolicLink(
    _ path: String, to target: String, why: StaticString
) throws(KernelError) {
    try systemCall(
        "symlink", [.text(target), .text(path)], on: path, why: why,
        shell: "ln -s \(quoteShell(target)) \(quoteShell(path))"
    ) { symlink(target, path) }
}

/// Makes an empty regular file where there is none.
public func makeEmptyFile(_ path: String, mode: mode_t = 0o644, why: StaticString)
    throws(KernelError)
{
    let number = try systemCall(
        "openat", [.symbol("AT_FDCWD"), .text(path), .symbol("O_WRONLY|O_CREAT|O_CLOEXEC")],
        on: path, why: why, shell: ": >> \(quoteShell(path))"
    ) { Glibc.openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC, mode) }
    _ = Descriptor(owning: number)
}

/// Makes a regular file with this content, where there is none yet.
public func makeFile(
    _ path: String, holding text: String, mode: mode_t = 0o644, why: StaticString
) throws(KernelError) {
    let number = try systemCall(
        "openat",
        [.symbol("AT_FDCWD"), .text(path), .symbol("O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC")],
        on: path, why: why, shell: "printf %s \(quoteShell(text)) > \(quoteShell(path))"
    ) { Glibc.openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode) }
    let file = Descriptor(owning: number)
    do { try file.write(text) } catch { throw error.renamed("write", path) }
}

/// What a path leads to.
public enum FileType: Sendable {
    /// A regular file.
    case regular
    /// A directory.
    case directory
    /// Anything else that exists: a device, a socket, a pipe.
    case other
}

/// What is at `path`, symbolic links followed; nil where nothing is. See `stat(2)`.
public func fileType(_ path: String) -> FileType? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return .regular
    case S_IFDIR: return .directory
    default: return .other
    }
}

/// The path without symbolic links, dots or doubled slashes. See `realpath(3)`.
public func resolvedPath(_ path: String) throws(KernelError) -> String {
    guard let resolved = realpath(path, nil) else { throw KernelError("realpath", path, .current) }
    defer { free(resolved) }
    return String(cString: resolved)
}

/// What a symbolic link says that it leads to. See `readlinkat(2)`.
///
/// - Parameters:
///   - path: the link's; empty for the one that `directory` is open for.
///   - directory: where a relative path begins.
public func linkTarget(_ path: String, at directory: CInt = AT_FDCWD) throws(KernelError) -> String
{
    var target = [CChar](repeating: 0, count: Int(PATH_MAX))
    let length = readlinkat(directory, path, &target, target.count)
    guard length > 0 else { throw KernelError("readlink", path, .current) }
    return target.withUnsafeBytes { String(decoding: $0.prefix(length), as: UTF8.self) }
}

/// The content of a small file.
public func readFile(_ path: String, limit: Int = 64 << 20) throws(KernelError) -> [UInt8] {
    let file = try Descriptor.open(path, O_RDONLY)
    do { return try file.readAll(limit: limit) } catch { throw error.renamed("read", path) }
}

/// The content of a small text file, such as those of /proc.
public func readText(_ path: String) throws(KernelError) -> String {
    String(decoding: try readFile(path), as: UTF8.self)
}

/// Puts a file in place whole or not at all: a temporary one, synced, then renamed.
///
/// - Parameter durable: false where the file need not outlive a power cut, which
///   saves waiting for the disk.
public func replaceFile(
    _ path: String, with bytes: some Collection<UInt8>, mode: mode_t = 0o644, durable: Bool = true
) throws(KernelError) {
    let temporary = "\(path).\(randomName()).tmp"
    do throws(KernelError) {
        let file = try Descriptor.open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode: mode)
        try file.write(bytes)
        if durable && fsync(file.number) < 0 { throw KernelError("fsync", path, .current) }
        if rename(temporary, path) < 0 { throw KernelError("rename", path, .current) }
    } catch {
        unlink(temporary)
        throw error.renamed("write", path)
    }
    if durable { try syncDirectory(holding: path) }
}

/// Makes the names in a directory survive a power cut, as `fsync` does a file's content.
public func syncDirectory(holding path: String) throws(KernelError) {
    let parent = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    let directory = try Descriptor.open(parent, O_RDONLY | O_DIRECTORY)
    if fsync(directory.number) < 0 { throw KernelError("fsync", parent, .current) }
}

/// The names in a directory, sorted, without `.` and `..`. See `readdir(3)`.
public func namesInDirectory(_ path: String) throws(KernelError) -> [String] {
    guard let stream = opendir(path) else { throw KernelError("opendir", path, .current) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
}

/// Twelve hexadecimal digits that nobody can guess. See `getrandom(2)`.
public func randomName() -> String {
    var number: UInt64 = 0
    _ = getrandom(&number, 8, 0)
    let digits: StaticString = "0123456789abcdef"
    var name = ""
    for _ in 0..<12 {
        name.unicodeScalars.append(Unicode.Scalar(digits.utf8Start[Int(number & 15)]))
        number >>= 4
    }
    return name
}

/// What a device node stands for: nothing but a type and two numbers. See `mknod(2)`.
public struct DeviceNode: Equatable, Sendable {
    /// Whether it is a disk or a part of one.
    public let isBlock: Bool
    /// Which driver.
    public let major: UInt32
    /// Which of the driver's devices.
    public let minor: UInt32
    /// Who may open the node.
    public let mode: mode_t

    /// Looks at the node at `path`; nil where something else is there. See `stat(2)`.
    /// - Throws: where nothing is.
    public init?(at path: String) throws(KernelError) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw KernelError("stat", path, .current) }
        let type = status.st_mode & S_IFMT
        guard type == S_IFBLK || type == S_IFCHR else { return nil }
        isBlock = type == S_IFBLK
        major = device_major(status.st_rdev)
        minor = device_minor(status.st_rdev)
        mode = status.st_mode & 0o777
    }
}

/// Gives a file to another user. See `chown(2)`.
public func changeOwner(_ path: String, user: uid_t, why: StaticString) throws(KernelError) {
    try systemCall(
        "lchown", [.text(path), .number(Int(user)), .symbol("-1")], on: path, why: why,
        shell: "chown -h \(user) \(quoteShell(path))"
    ) { lchown(path, user, gid_t.max) }
}
