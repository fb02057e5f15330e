import CLinux
import Glibc

/// An argument of a system call, for showing.
public enum Argument: Sendable, Equatable {
    /// A string or a path, shown in quotes.
    case text(String)
    /// A flag, a structure or a constant, shown as it is.
    case symbol(String)
    /// A number, in decimal.
    case number(Int)
    /// A null pointer.
    case null

    /// A string where there is one, else a null pointer.
    static func optional(_ text: String?) -> Argument { text.map(Argument.text) ?? .null }
    /// A file mode, in octal as everyone writes it.
    static func mode(_ mode: mode_t) -> Argument { .symbol("0" + String(mode, radix: 8)) }
}

/// One call to the kernel, as it was made.
struct Event {
    var call: StaticString
    var arguments: [Argument]
    var result: Int
    var errno: Errno?
    var why: StaticString
    var shell: String?
}

/// Tells what a program does to the kernel, as it does it: `--explain`.
///
/// The telling is done by the same functions that make the calls, so it cannot
/// drift from them; a test holds it against `strace`.
public enum Narrator {
    /// How it is told.
    public enum Format: String, Sendable, CaseIterable {
        /// For people: the calls in strace's notation, each with its reason.
        case text
        /// For programs: one JSON object a line.
        case json
        /// As commands that do the same by hand.
        case shell
    }

    /// Which of the two processes is speaking.
    public enum Side: String, Sendable {
        /// The process that owns the sandbox.
        case host
        /// The process that becomes the sandbox.
        case sandbox
    }

    // The processes that narrate have one thread and never get a second, so
    // this state cannot be raced for.
    nonisolated(unsafe) private static var format: Format?
    nonisolated(unsafe) private static var output: CInt = -1
    nonisolated(unsafe) private static var colour = false
    nonisolated(unsafe) private static var side = Side.host
    nonisolated(unsafe) private static var heading = ""
    nonisolated(unsafe) private static var announced = ""
    nonisolated(unsafe) private static var shellPrefix = ""
    nonisolated(unsafe) private static var shellIsInit = false
    nonisolated(unsafe) private static var shellEnd = "SANDBOX\n"

    /// Whether it is the sandbox that speaks.
    static var isInSandbox: Bool { side == .sandbox }

    /// Whether anyone listens.
    @inline(__always) public static var isOn: Bool { output >= 0 }

    /// What it needs to stay open.
    static var descriptors: [CInt] { isOn ? [output] : [] }

    /// Starts telling on standard error.
    ///
    /// On a descriptor of its own, because a sandbox with a terminal gets another standard error.
    public static func start(_ format: Format) throws(KernelError) {
        let copy = fcntl(2, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else { throw KernelError("dup", "standard error", .current) }
        self.format = format
        output = copy
        colour = isatty(copy) == 1 && getenv("NO_COLOR") == nil
    }

    /// Says whose calls come next: which mechanism, and in which of its steps.
    @inline(__always) public static func chapter(
        _ mechanism: @autoclosure () -> String, _ step: StaticString
    ) {
        if isOn { heading = "\(mechanism()) · \(step)" }
    }

    /// Said once by the new process: from here on it speaks as the sandbox.
    public static func becomeSandbox() { side = .sandbox }

    /// Said by the host once the sandbox has spoken for the last time.
    public static func sandboxIsSilent() { announced = "" }

    /// Says no more in this process; what another one says is its own affair.
    public static func stop() {
        format = nil
        output = -1
    }

    /// Said by the command of a sandbox with an init: in shell form the shell is that init.
    public static func commandHasInit() { shellIsInit = true }

    /// From here on, commands told in shell form run in another root directory.
    ///
    /// A shell cannot change its own root, so each command has to.
    static func prefixShellCommands(with prefix: String) { shellPrefix = prefix }

    /// A command that the rest of the sandbox's script has to run behind, because what it does is
    /// done to the shell that it starts.
    static func nestedShell(_ command: String, until end: String) -> String {
        shellEnd = "\(end)\n" + shellEnd
        return "exec \(command) sh -eu /dev/fd/8 8<<'\(end)'"
    }

    static func record(_ event: Event) {
        switch format {
        case .text: writeText(event)
        case .json: writeJSON(event)
        case .shell: writeShell(event)
        case nil: break
        }
    }

    private static func writeText(_ event: Event) {
        var lines = ""
        let title = "── \(heading) · \(side == .host ? "on the host" : "in the sandbox")"
        if title != announced {
            announced = title
            lines += paint(title, "1") + "\n"
        }
        let result = event.errno.map { "-1 \($0.name) (\($0.meaning))" } ?? "\(event.result)"
        let call = "\(event.rendered) = \(result)"
        lines += "   " + (event.errno == nil ? call : paint(call, "31")) + "\n"
        lines += "   " + paint("  └ \(event.why)", "2") + "\n"
        write(lines)
    }

    private static func writeShell(_ event: Event) {
        guard let shell = event.shell, event.errno == nil else { return }
        let command = shellPrefix.isEmpty ? shell : shellPrefix + " " + shell
        guard side == .sandbox, "\(event.call)" == "execve" else {
            return write("# \(event.why)\n\(command)\n")
        }
        // The end of the sandbox's own script as well: after this it says nothing more.
        write("# \(event.why)\n\(shellIsInit ? "" : "exec ")\(command)\n\(shellEnd)")
    }

    private static func writeJSON(_ event: Event) {
        var object = "{\"side\":\"\(side.rawValue)\",\"pid\":\(getpid())"
        object += ",\"step\":\(quoteJSON(heading)),\"call\":\"\(event.call)\",\"arguments\":["
        object += event.arguments.map(\.json).joined(separator: ",")
        object += "],\"result\":\(event.result)"
        if let errno = event.errno { object += ",\"errno\":\"\(errno.name)\"" }
        object += ",\"strace\":\(quoteJSON(event.rendered)),\"why\":\(quoteJSON("\(event.why)"))}\n"
        write(object)
    }

    private static func paint(_ text: String, _ code: String) -> String {
        colour ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    private static func write(_ text: String) {
        // A reader who has gone away must not stop the program it read about.
        var text = text
        _ = text.withUTF8 { Glibc.write(output, $0.baseAddress, $0.count) }
    }
}

extension Event {
    /// The call as strace would show it.
    var rendered: String { "\(call)(\(arguments.map(\.rendered).joined(separator: ", ")))" }
}

extension Argument {
    /// The argument as strace would show it.
    var rendered: String {
        switch self {
        case .text(let text): quote(text)
        case .symbol(let symbol): symbol
        case .number(let number): "\(number)"
        case .null: "NULL"
        }
    }

    var json: String {
        switch self {
        case .text(let text), .symbol(let text): quoteJSON(text)
        case .number(let number): "\(number)"
        case .null: "null"
        }
    }

    private func quote(_ text: String) -> String {
        var quoted = "\""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                quoted += "\\" + String(UnicodeScalar(byte))
            case 0x0A: quoted += "\\n"
            case 0x20..<0x7F: quoted += String(UnicodeScalar(byte))
            default: quoted += "\\" + String(byte, radix: 8)
            }
        }
        return quoted + "\""
    }
}

/// `text` as a JSON string, quotes included. See RFC 8259, section 7.
public func quoteJSON(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"", "\\": quoted += "\\\(scalar)"
        case "\n": quoted += "\\n"
        case "\t": quoted += "\\t"
        case "\u{0}"..<"\u{20}":
            let digits = String(scalar.value, radix: 16)
            quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: quoted.unicodeScalars.append(scalar)
        }
    }
    return quoted + "\""
}

/// `word` so that a shell reads it as one word.
public func quoteShell(_ word: String) -> String {
    let plain =
        !word.isEmpty
        && word.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."),
                UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "="), UInt8(ascii: ":"),
                UInt8(ascii: ","), UInt8(ascii: "+"), UInt8(ascii: "@"), UInt8(ascii: "%"):
                true
            default: false
            }
        }
    if plain { return word }
    var quoted = "'"
    for character in word { quoted += character == "'" ? "'\\''" : String(character) }
    return quoted + "'"
}
