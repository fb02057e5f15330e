import CLinux
import Glibc
import Kernel

// Looking round without touching anything.

extension Attack {
    /// Tells where and who the probe is: what tests compare with what the host sees.
    ///
    /// `key=value` words, or one JSON object of strings. A namespace is told by its number, as in
    /// /proc/PID/ns; capabilities and the seccomp mode as in /proc/PID/status.
    static let observe = Attack(
        "observe", "[--json]", "Tells process, user, names, root and namespaces.", stoppedBy: nil
    ) { arguments throws(KernelError) in
        let facts = try identityFacts() + namespaceFacts()
        if arguments.first == "--json" {
            let members = facts.map { "\(quoteJSON($0.key)):\(quoteJSON($0.value))" }
            return .observed("{\(members.joined(separator: ","))}")
        }
        return .observed(facts.map { "\($0.key)=\(word($0.value))" }.joined(separator: " "))
    }
}

private typealias Fact = (key: String, value: String)

private func identityFacts() throws(KernelError) -> [Fact] {
    [
        ("pid", "\(getpid())"), ("ppid", "\(getppid())"), ("sid", "\(getsid(0))"),
        ("uid", "\(getuid())"), ("gid", "\(getgid())"), ("hostname", hostname()),
        ("cwd", currentDirectory()), ("root", "\(try Place(of: "/"))"),
        ("terminal", isatty(0) == 1 ? "yes" : "no"),
    ]
}

/// What only /proc tells; nothing where there is none and none can be made.
private func namespaceFacts() -> [Fact] {
    guard let proc = try? openProc() else { return [] }
    var facts: [Fact] = []
    for kind in ["mnt", "pid", "net", "uts", "ipc", "user", "cgroup", "time"] {
        guard let link = proc.link("self/ns/\(kind)") else { continue }
        facts.append((kind, String(link.filter(\.isNumber))))
    }
    for (key, field) in [("capabilities", "CapEff"), ("seccomp", "Seccomp")] {
        if let value = proc.status(getpid(), field) { facts.append((key, value)) }
    }
    return facts
}

/// The host name of this UTS namespace.
func hostname() -> String {
    var buffer = [CChar](repeating: 0, count: 65)
    gethostname(&buffer, buffer.count - 1)
    return buffer.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
}

private func currentDirectory() -> String {
    guard let path = getcwd(nil, 0) else { return "unknown" }
    defer { free(path) }
    return String(cString: path)
}

/// A value as one word: quoted where it holds a space.
private func word(_ value: String) -> String {
    value.contains(where: \.isWhitespace) ? quoteJSON(value) : value
}
