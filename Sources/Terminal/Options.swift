import CLinux
import Glibc
import Kernel

/// One option of a program: how it is written, and what its help says.
public struct Option: Sendable {
    /// Whether something follows the option.
    public enum Value: Sendable {
        /// A flag: it is there or not.
        case none
        /// `--name VALUE` or `--name=VALUE`; the text stands for it in the help.
        case required(String)
        /// `--name` or `--name=VALUE`.
        case optional(String)
    }

    let name: String
    let letter: Character?
    let value: Value
    let help: String

    /// An option `--name`, also `-letter` where that is given.
    public init(_ name: String, _ letter: Character? = nil, _ value: Value = .none, _ help: String)
    {
        self.name = name
        self.letter = letter
        self.value = value
        self.help = help
    }

    /// `-h, --help`, which every command takes.
    public static let help = Option("help", "h", "Show this help.")
    /// `--explain`, which everything that builds a sandbox takes.
    public static let explain = Option(
        "explain", nil, .optional("FORMAT"),
        "Tell each call to the kernel and why: text, json or shell.")

    private init(_ name: String, _ letter: Character?, _ help: String) {
        self.init(name, letter, .none, help)
    }
}

/// A command: its words, its options, and the help made from both.
public struct Command: Sendable {
    /// The words it is called by, such as `hull run`.
    public let name: String
    let operands: String
    /// What it does, in one sentence.
    public let summary: String
    let options: [Option]
    let notes: String
    let optionsMayFollow: Bool

    /// A command `name` that takes `options` and then `operands`.
    ///
    /// - Parameter optionsMayFollow: whether options may come behind the operands, too; not where
    ///   those are a command of the user's.
    public init(
        _ name: String, _ operands: String, _ summary: String, options: [Option],
        notes: String = "", optionsMayFollow: Bool = false
    ) {
        self.optionsMayFollow = optionsMayFollow
        self.name = name
        self.operands = operands
        self.summary = summary
        self.options = options + [.help]
        self.notes = notes
    }

    private init(_ other: Command, name: String) {
        self.name = name
        operands = other.operands
        summary = other.summary
        options = other.options
        notes = other.notes
        optionsMayFollow = other.optionsMayFollow
    }

    /// The same command, called by another name.
    public func renamed(_ name: String) -> Command { Command(self, name: name) }

    /// Reads the options of `arguments`, the first of which is the program's name.
    ///
    /// Everything from the first operand on belongs to the sandboxed command and is left alone,
    /// unless options may follow. The reading itself is `getopt_long(3)`: measured here,
    /// swift-argument-parser takes 0.9 ms of a start that takes 0.6 ms without.
    /// - Throws: exit code 125 and the way to the help where an option is wrong.
    public func parse(_ arguments: [String]) throws(KernelError) -> Arguments {
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for pointer in argv { free(pointer) } }
        let names = options.map { strdup($0.name) }
        defer { for pointer in names { free(pointer) } }
        let table = zip(options, names).enumerated().map { index, pair in
            long_option(
                name: pair.1, has_argument: pair.0.value.kind, value: CInt(1000 + index))
        }
        var parsed = Arguments()
        restart_options()
        while true {
            var value: UnsafePointer<CChar>?
            let found = next_option(
                CInt(arguments.count), &argv, letters, table, table.count, &value)
            if found == -1 { break }
            guard let option = option(for: found) else {
                throw rejection(found, argv.map { $0.map { String(cString: $0) } ?? "" })
            }
            parsed.add(option.name, value.map { String(cString: $0) })
        }
        // It has moved the operands behind the options.
        for word in argv.dropFirst(Int(first_operand())) {
            if let word { parsed.operands.append(String(cString: word)) }
        }
        return parsed
    }

    /// "+": stop at the first operand. ":": tell a missing value from an unknown option.
    private var letters: String {
        options.reduce(optionsMayFollow ? ":" : "+:") { text, option in
            guard let letter = option.letter else { return text }
            return text + String(letter) + String(repeating: ":", count: Int(option.value.kind))
        }
    }

    private func option(for found: CInt) -> Option? {
        if found >= 1000 { return options[Int(found) - 1000] }
        return options.first { $0.letter.map { CInt($0.asciiValue ?? 0) } == found }
    }

    private func rejection(_ found: CInt, _ words: [String]) -> KernelError {
        let letter = rejected_option()
        let given = Int(first_operand()) - 1
        let isLetter = letter > 0 && letter < 128
        let word =
            isLetter
            ? "-" + String(UnicodeScalar(UInt8(letter)))
            : words.indices.contains(given) ? words[given] : "?"
        let reason = found == CInt(UInt8(ascii: ":")) ? "It needs a value. " : ""
        return KernelError(
            "option", word, .invalidArgument, remedy: "\(reason)See `\(name) --help`.")
    }

    /// The text of `--help`.
    public var help: String {
        let rows = options.map { option in
            ["  " + (option.letter.map { "-\($0), " } ?? "    ") + option.usage, option.help]
        }
        var text = "Usage: \(name) [options] \(operands)\n\n\(summary)\n\nOptions:\n"
        text += Table.aligned(rows)
        if !notes.isEmpty { text += "\n" + notes + "\n" }
        return text
    }
}

extension Option {
    fileprivate var usage: String {
        switch value {
        case .none: "--\(name)"
        case .required(let placeholder): "--\(name) \(placeholder)"
        case .optional(let placeholder): "--\(name)[=\(placeholder)]"
        }
    }
}

extension Option.Value {
    fileprivate var kind: CInt {
        switch self {
        case .none: 0
        case .required: 1
        case .optional: 2
        }
    }
}

/// What stood on the command line.
public struct Arguments: Sendable {
    private var given: [(name: String, value: String?)] = []
    /// What follows the options.
    public fileprivate(set) var operands: [String] = []

    /// Nothing given.
    public init() {}

    mutating func add(_ name: String, _ value: String?) { given.append((name, value)) }

    /// Whether the option was given.
    public func has(_ name: String) -> Bool { given.contains { $0.name == name } }

    /// The option's value; the last one where it was given more than once.
    public func value(_ name: String) -> String? { given.last { $0.name == name }?.value }

    /// All values of an option that may be repeated, in order.
    public func values(_ name: String) -> [String] {
        given.filter { $0.name == name }.compactMap(\.value)
    }

    /// Starts the narrator where `--explain` was given.
    /// - Throws: an error for a format that there is not.
    public func startNarrator() throws(KernelError) {
        guard has("explain") else { return }
        let word = value("explain") ?? Narrator.Format.text.rawValue
        guard let format = Narrator.Format(rawValue: word) else {
            throw KernelError(
                "option", "--explain=\(word)", .invalidArgument,
                remedy: "The formats are text, json and shell.")
        }
        try Narrator.start(format)
    }
}

extension Command {
    /// The error of a call with too few operands.
    public func missing(operandsOf arguments: Arguments) -> KernelError {
        KernelError(
            "read arguments", arguments.operands.joined(separator: " "), .invalidArgument,
            remedy: "Expected: \(name) [options] \(operands). See `\(name) --help`.")
    }
}

extension Command {
    /// Writes the help; the exit code is that of success.
    public func showHelp() -> Int32 {
        Program.write(help)
        return 0
    }
}
