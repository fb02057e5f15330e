import CLinux
import Glibc

// Paths of a root file system that is somebody else's.
//
// Whoever made it may have put a symbolic link anywhere, and may still be changing it. So the
// kernel is asked to look paths up as if the current directory were the root: no link and no
// `..` leads out of it, whenever it is made. What is found is held open, and everything else is
// done to what is held. See `openat2(2)`, RESOLVE_IN_ROOT.

extension Descriptor {
    /// Opens `path` with the current directory as the root. See `openat2(2)`, RESOLVE_IN_ROOT.
    ///
    /// - Parameter followsLinks: false where a symbolic link on the way is an error.
    /// - Throws: `ELOOP` where a link is not to be followed, or leads where nobody can tell.
    public static func openInRoot(
        _ path: String, _ flags: CInt, followsLinks: Bool = true
    ) throws(KernelError) -> Descriptor {
        let number = openInRoot(path, flags, followsLinks)
        guard number >= 0 else { throw KernelError("openat2", path, .current) }
        return Descriptor(owning: number)
    }

    /// The same, or nil where there is nothing.
    public static func findInRoot(
        _ path: String, _ flags: CInt, followsLinks: Bool = true
    ) throws(KernelError) -> Descriptor? {
        let number = openInRoot(path, flags, followsLinks)
        if number < 0 {
            let errno = Errno.current
            if errno == .noSuchFile || errno == .notDirectory { return nil }
            throw KernelError("openat2", path, errno)
        }
        return Descriptor(owning: number)
    }

    // book: begin in-root
    private static func openInRoot(
        _ path: String, _ flags: CInt, _ followsLinks: Bool
    ) -> CInt {
        var how = open_how()
        how.flags = UInt64(UInt32(bitPattern: flags | O_CLOEXEC))
        let links = followsLinks ? RESOLVE_NO_MAGICLINKS : RESOLVE_NO_SYMLINKS
        how.resolve = UInt64(RESOLVE_IN_ROOT) | UInt64(links)
        // While something on the path is being renamed the kernel cannot vouch for a `..`.
        for _ in 0..<128 {
            let number = openat2(AT_FDCWD, path, &how, MemoryLayout<open_how>.size)
            let errno = current_errno()
            if number >= 0 || (errno != EAGAIN && errno != EINTR) { return CInt(number) }
        }
        return -1
    }
    // book: end in-root
}

/// What an open file is. See `fstat(2)`.
public func fileStatus(
    of file: borrowing Descriptor, _ path: String
) throws(KernelError) -> stat {
    var status = stat()
    guard fstat(file.number, &status) == 0 else { throw KernelError("fstat", path, .current) }
    return status
}

/// Opens a place to mount on, with the current directory as the root; what is missing is made.
///
/// - Parameters:
///   - isDirectory: what the last of its names becomes if it is missing, a directory or a file.
///   - followsLinks: false where a symbolic link on the way is an error.
/// - Throws: `ELOOP` where a link is not to be followed.
public func makePlaceInRoot(
    _ path: String, isDirectory: Bool = true, followsLinks: Bool = true, why: StaticString
) throws(KernelError) -> Descriptor {
    let there = try Descriptor.findInRoot(path, CInt(linux_O_PATH), followsLinks: followsLinks)
    if let there { return there }
    var walk = Walk(path, followsLinks: followsLinks, why: why)
    return try walk.run(isDirectory: isDirectory)
}

/// The kernel's own way through a path, one name at a time, because it makes what is missing.
private struct Walk {
    private let path: String
    private let followsLinks: Bool
    private let why: StaticString
    /// The way so far: names without links.
    private var done: [String] = []
    /// What is left, the next name last.
    private var ahead: [String]
    private var linksLeft = 40

    init(_ path: String, followsLinks: Bool, why: StaticString) {
        self.path = path
        self.followsLinks = followsLinks
        self.why = why
        ahead = Walk.names(path)
    }

    private static func names(_ path: String) -> [String] {
        var names: [String] = []
        for name in split(path, at: "/") where !name.isEmpty && name != "." { names.append(name) }
        names.reverse()
        return names
    }

    mutating func run(isDirectory: Bool) throws(KernelError) -> Descriptor {
        var here = try reopen()
        while let name = ahead.popLast() {
            if name == ".." {
                _ = done.popLast()
                here = try reopen()
                continue
            }
            let next = try step(name, from: here, isDirectory: isDirectory || !ahead.isEmpty)
            if try follow(next) {
                here = try reopen()
            } else {
                done.append(name)
                here = next
            }
        }
        return here
    }

    /// Where the way so far leads. It has no links, and none that turns up is followed.
    private func reopen() throws(KernelError) -> Descriptor {
        try Descriptor.openInRoot(
            "/" + join(done, with: "/"), CInt(linux_O_PATH) | O_DIRECTORY, followsLinks: false)
    }

    /// One name from an open directory: no link can be on the way of that.
    private func step(
        _ name: String, from here: borrowing Descriptor, isDirectory: Bool
    ) throws(KernelError) -> Descriptor {
        let number = here.number
        do throws(KernelError) {
            return try Descriptor.open(name, CInt(linux_O_PATH) | O_NOFOLLOW, at: number)
        } catch  where error.errno == .noSuchFile {
            do throws(KernelError) {
                if isDirectory {
                    try makeDirectory(name, at: number, why: why)
                } else {
                    try makeEmptyFile(name, at: number, why: why)
                }
            } catch {
                // Somebody else was quicker; what it is will be seen.
                if error.errno != .fileExists { throw error.renamed(error.operation, path) }
            }
            return try Descriptor.open(name, CInt(linux_O_PATH) | O_NOFOLLOW, at: number)
        }
    }

    /// Puts the link's target in front of the rest of the way; false where it is no link.
    private mutating func follow(_ next: borrowing Descriptor) throws(KernelError) -> Bool {
        let status = try fileStatus(of: next, path)
        guard status.st_mode & S_IFMT == S_IFLNK else { return false }
        linksLeft -= 1
        guard followsLinks, linksLeft > 0 else {
            throw KernelError("open", path, Errno(rawValue: ELOOP))
        }
        let text: String
        do { text = try linkTarget("", at: next.number) } catch {
            throw error.renamed("readlink", path)
        }
        if text.hasPrefix("/") { done = [] }
        ahead += Walk.names(text)
        return true
    }
}

/// Makes a directory in an open one. See `mkdirat(2)`.
public func makeDirectory(
    _ name: String, at directory: CInt, mode: mode_t = 0o755, why: StaticString
) throws(KernelError) {
    try systemCall(
        "mkdirat", [.number(Int(directory)), .text(name), .mode(mode)], on: name, why: why
    ) { mkdirat(directory, name, mode) }
}

/// Makes an empty regular file in an open directory. See `openat(2)`, O_EXCL.
/// - Throws: `EEXIST` where something has that name, be it a symbolic link that leads nowhere.
public func makeEmptyFile(
    _ name: String, at directory: CInt, mode: mode_t = 0o644, why: StaticString
) throws(KernelError) {
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
    let number = try systemCall(
        "openat",
        [
            .number(Int(directory)), .text(name),
            .symbol("O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC"), .mode(mode),
        ],
        on: name, why: why
    ) { Glibc.openat(directory, name, flags, mode) }
    _ = Descriptor(owning: number)
}

/// Makes a symbolic link in an open directory. See `symlinkat(2)`.
public func makeSymbolicLink(
    _ name: String, at directory: CInt, to target: String, why: StaticString
) throws(KernelError) {
    try systemCall(
        "symlinkat", [.text(target), .number(Int(directory)), .text(name)], on: name, why: why
    ) { symlinkat(target, directory, name) }
}

/// Makes a device node or a pipe in an open directory. See `mknodat(2)`.
///
/// - Parameter type: `S_IFCHR`, `S_IFBLK` or `S_IFIFO`.
public func makeNode(
    _ name: String, at directory: CInt, type: mode_t, mode: mode_t, major: UInt32, minor: UInt32,
    why: StaticString
) throws(KernelError) {
    let symbol = type == S_IFBLK ? "S_IFBLK" : type == S_IFIFO ? "S_IFIFO" : "S_IFCHR"
    try systemCall(
        "mknodat",
        [
            .number(Int(directory)), .text(name), .symbol("\(symbol)|0\(String(mode, radix: 8))"),
            .symbol("makedev(0x\(String(major, radix: 16)), 0x\(String(minor, radix: 16)))"),
        ],
        on: name, why: why
    ) { mknodat(directory, name, type | mode, device_number(major, minor)) }
}

/// Gives a file in an open directory, and no symbolic link's target, its owner.
/// See `fchownat(2)`.
public func changeOwner(
    of name: String, at directory: CInt, to user: uid_t, _ group: gid_t, why: StaticString
) throws(KernelError) {
    try systemCall(
        "fchownat",
        [
            .number(Int(directory)), .text(name), .number(Int(user)), .number(Int(group)),
            .symbol("AT_SYMLINK_NOFOLLOW"),
        ],
        on: name, why: why
    ) { fchownat(directory, name, user, group, AT_SYMLINK_NOFOLLOW) }
}

/// Removes a name from an open directory. See `unlinkat(2)`.
public func removeName(
    _ name: String, at directory: CInt, why: StaticString
) throws(KernelError) {
    try systemCall(
        "unlinkat", [.number(Int(directory)), .text(name), .number(0)], on: name, why: why
    ) { unlinkat(directory, name, 0) }
}
