import Foundation

/// A process as the kernel shows it to the host: what the tests judge a sandbox by.
struct Observed {
    let process: pid_t

    /// The inode of a namespace: two processes with the same one share it.
    func namespace(_ kind: String) throws -> String {
        let link = "/proc/\(process)/ns/\(kind)"
        return try FileManager.default.destinationOfSymbolicLink(atPath: link)
    }

    /// A field of /proc/PID/status, its columns separated.
    func status(_ field: String) throws -> [String] {
        let lines = try Observed.read("/proc/\(process)/status").split(separator: "\n")
        let line = lines.first { $0.hasPrefix(field + ":") } ?? ""
        return line.dropFirst(field.count + 1).split(whereSeparator: \.isWhitespace).map(
            String.init)
    }

    /// The five sets of capabilities, as bits.
    func capabilities() throws -> [String: UInt64] {
        var sets: [String: UInt64] = [:]
        for name in ["CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"] {
            sets[name] = try status(name).first.flatMap { UInt64($0, radix: 16) }
        }
        return sets
    }

    /// What is mounted in the process's mount namespace.
    func mounts() throws -> [Mount] { try Mount.list(of: "\(process)") }

    /// The children of all its threads.
    var children: [pid_t] {
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task"))
        return (tasks ?? []).flatMap { task in
            let text = try? Observed.read("/proc/\(process)/task/\(task)/children")
            return (text ?? "").split(separator: " ").compactMap { pid_t($0) }
        }
    }

    /// Its children, their children, and so on.
    var descendants: [pid_t] {
        children.flatMap { [$0] + Observed(process: $0).descendants }
    }

    /// The program it runs, as far as that can be seen.
    var name: String { (try? status("Name").first) ?? "" }

    /// Whether it still runs. A zombie does not; whose duty it is to reap one is not always ours.
    var isAlive: Bool {
        guard let state = try? status("State").first else { return false }
        return state != "Z" && state != "X"
    }

    /// What a path inside the sandbox is called on the host.
    func path(_ inside: String) -> String { "/proc/\(process)/root\(inside)" }

    /// The test process itself: what a sandbox is compared with.
    static let host = Observed(process: getpid())

    /// A line for a failure's message.
    static func describe(_ process: pid_t) -> String {
        let line = try? read("/proc/\(process)/cmdline").replacingOccurrences(of: "\0", with: " ")
        let one = Observed(process: process)
        let state = (try? one.status("State").joined(separator: " ")) ?? "gone"
        let stack = (try? read("/proc/\(process)/wchan")) ?? ""
        return "process \(process) `\(line?.prefix(200) ?? "")` \(state) \(stack)"
    }

    /// The content of a file that has no size, as those of /proc.
    static func read(_ path: String) throws -> String {
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw ProgramFailure(description: "cannot read \(path)")
        }
        defer { try? file.close() }
        return String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self)
    }
}

/// One line of /proc/PID/mountinfo. See `proc_pid_mountinfo(5)`.
struct Mount {
    var root: String
    var target: String
    var options: [String]
    /// `shared:N`, `master:N` and the like; none where propagation is private.
    var propagation: [String]
    var type: String
    var source: String
    var superOptions: [String]

    init?(line: Substring) {
        let halves = line.components(separatedBy: " - ")
        guard halves.count == 2 else { return nil }
        let left = halves[0].split(separator: " ").map(String.init)
        let right = halves[1].split(separator: " ", omittingEmptySubsequences: false).map(
            String.init)
        guard left.count >= 6, right.count >= 3 else { return nil }
        root = Mount.unescape(left[3])
        target = Mount.unescape(left[4])
        options = left[5].split(separator: ",").map(String.init)
        propagation = Array(left[6...])
        type = right[0]
        source = Mount.unescape(right[1])
        superOptions = right[2].split(separator: ",").map(String.init)
    }

    static func list(of process: String) throws -> [Mount] {
        try Observed.read("/proc/\(process)/mountinfo").split(separator: "\n").compactMap(
            Mount.init(line:))
    }

    /// The kernel writes blanks, newlines and backslashes as octal escapes.
    private static func unescape(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension Program {
    /// The sandboxed process: PID 1 of the sandbox, or what a chroot stage became.
    ///
    /// It is there once it has another root than the host's; with `named`, once it also runs
    /// that program, which is to say after its exec.
    func sandboxed(named: String? = nil, _ seconds: Double = 10) throws -> Observed {
        var found: Observed?
        try waitUntil("the sandboxed process of \(command)", seconds) {
            if self.hasEnded {
                throw ProgramFailure(description: "ended at once: \(try self.wait())")
            }
            let all = [self.process] + Observed(process: self.process).descendants
            found = all.map(Observed.init(process:)).first { one in
                if let named { return one.name == named }
                return one.process != self.process
            }
            return found != nil
        }
        guard let found else { throw ProgramFailure(description: "no sandboxed process") }
        return found
    }
}
