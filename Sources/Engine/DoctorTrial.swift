import CLinux
import Glibc
import Isolation
import Kernel

/// Does something in a child, so that whatever it changes about itself goes with it.
///
/// - Returns: why it failed; nil where it did not.
func trial(_ body: () throws(KernelError) -> Void) -> Errno? {
    do {
        guard let child = try clone(into: [], why: "what a check changes goes with it") else {
            do { try body() } catch { _exit(error.errno.rawValue) }
            _exit(0)
        }
        let code = try wait(for: child).code
        return code == 0 ? nil : Errno(rawValue: code)
    } catch {
        return error.errno
    }
}

/// Moves this process, a child of ``trial(_:)``, into new namespaces.
///
/// An ordinary user gets them inside a user namespace, where it is root.
func enterNamespaces(_ flags: CInt, isRoot: Bool) throws(KernelError) {
    let user = geteuid()
    let group = getegid()
    if !isRoot {
        try leave(CLONE_NEWUSER)
        // The order is the kernel's: no group map before setgroups(2) is given up.
        try fill("setgroups", "deny")
        try fill("uid_map", "0 \(user) 1")
        try fill("gid_map", "0 \(group) 1")
    }
    try leave(flags)
}

private func leave(_ flags: CInt) throws(KernelError) {
    if flags != 0 && unshare(flags) < 0 { throw KernelError("unshare", "", .current) }
}

private func fill(_ name: String, _ text: String) throws(KernelError) {
    try Descriptor.open("/proc/self/\(name)", O_WRONLY).write(text)
}

/// A directory for a check, made and taken away again together with the parents it needed.
/// - Throws: where it cannot be made or removed.
func withTrialDirectory(in parent: String, _ body: (String) -> Void) throws(KernelError) {
    let made = missingParents(of: parent)
    defer { for path in made { rmdir(path) } }
    let directory = try OwnedDirectory(in: parent, why: "a place to try an overlay in")
    body(directory.path)
    try directory.release()
}

/// The directories on the way to `path`, and itself, that do not exist; the deepest first.
private func missingParents(of path: String) -> [String] {
    var missing: [String] = []
    var path = path
    while !path.isEmpty, fileType(path) == nil {
        missing.append(path)
        guard let slash = path.lastIndex(of: "/") else { break }
        path = String(path[..<slash])
    }
    return missing
}

/// The text of a small file, without the line end; nil where it cannot be read.
func setting(_ path: String) -> String? {
    guard let text = try? readText(path) else { return nil }
    return String(text.prefix { $0 != "\n" })
}

/// Where a program is, as root's PATH has it.
func program(_ name: String) -> String? {
    let path = getenv("PATH").map { String(cString: $0) } ?? ""
    // An ordinary user's PATH lacks the sbin directories.
    let directories = (path + ":/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin").split(
        separator: ":")
    return directories.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
}
