import CLinux
import Glibc

// A cgroup is a directory, and everything else about it is a file in it: limits are written,
// usage is read, processes are moved by writing their number. See `cgroups(7)`.

/// A file of a cgroup that is open to be written, where there is more than one value for it.
public struct ControlFile: ~Copyable {
    private let path: String
    private let file: Descriptor

    /// Opens it.
    /// - Throws: the kernel's refusal, with the file as the object.
    public init(_ path: String) throws(KernelError) {
        self.path = path
        file = try Descriptor.open(path, O_WRONLY)
    }

    /// Writes a value. See `cgroups(7)`.
    /// - Throws: the kernel's refusal, with the file as the object.
    public borrowing func write(_ value: String, why: StaticString) throws(KernelError) {
        let (number, path) = (file.number, path)
        try systemCall(
            "write", [.symbol("\(number)<\(path)>"), .text(value), .number(value.utf8.count)],
            on: path, why: why, shell: "echo \(quoteShell(value)) > \(quoteShell(path))"
        ) { Glibc.write(number, value, value.utf8.count) }
    }
}

/// Writes a value into a file of a cgroup.
/// - Throws: the kernel's refusal, with the file as the object.
public func writeControl(_ path: String, _ value: String, why: StaticString) throws(KernelError) {
    try ControlFile(path).write(value, why: why)
}

/// What a file of a cgroup says, without the newline at its end; nil where there is no such file.
public func readControl(_ path: String) -> String? {
    do {
        var bytes = try readFile(path, limit: 1 << 20)
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    } catch {
        return nil
    }
}

/// Moves a process into a cgroup by writing its number. See `cgroups(7)`.
public func moveProcess(
    _ process: ProcessID, into directory: String, why: StaticString
) throws(KernelError) {
    let path = directory + "/cgroup.procs"
    let file = try Descriptor.open(path, O_WRONLY)
    let number = file.number
    let value = "\(process.rawValue)"
    // In shell form the sandbox's own shell does it: 0 stands for whoever writes.
    try systemCall(
        "write", [.symbol("\(number)<\(path)>"), .text(value), .number(value.utf8.count)], on: path,
        why: why, shell: "echo 0 > \(quoteShell(path))"
    ) { Glibc.write(number, value, value.utf8.count) }
}

/// Moves this process, which has one thread, into a version 1 cgroup. See `cgroups(7)`, "tasks".
///
/// - Parameter door: the open file `tasks` in `directory`.
public func moveOneself(
    through door: CInt, into directory: String, why: StaticString
) throws(KernelError) {
    let path = directory + "/tasks"
    try systemCall(
        "write", [.symbol("\(door)<\(path)>"), .text("0"), .number(1)], on: path, why: why,
        shell: "echo 0 > \(quoteShell(path))"
    ) { Glibc.write(door, "0", 1) }
}

/// Removes an empty directory. See `rmdir(2)`.
public func removeDirectory(_ path: String, why: StaticString) throws(KernelError) {
    try systemCall(
        "rmdir", [.text(path)], on: path, why: why, shell: "rmdir \(quoteShell(path))"
    ) { rmdir(path) }
}

/// The value behind `key` in a file of lines such as `oom_kill 3`.
public func readControl(_ path: String, key: String) -> Int? {
    guard let text = readControl(path) else { return nil }
    for line in split(text, at: "\n") where line.hasPrefix(key + " ") {
        return Int(line.dropFirst(key.utf8.count + 1))
    }
    return nil
}

/// The words of a line, separated by blanks.
public func words(of line: String) -> [String] {
    var words: [String] = []
    for word in split(line, at: " ") where !word.isEmpty { words.append(word) }
    return words
}
