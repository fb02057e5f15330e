/// A `console` block of a chapter: commands, and what they print.
///
/// The notation, for readers:
///
/// A line that begins with `# ` is a command for root, one that begins with `$ ` a command
/// for an ordinary user. It goes on in the lines right below it that begin with `> `. What
/// follows is what the command prints, standard error included, and `[exit 1]` in the end
/// where it fails with that status (128 + n where signal n ended it). `…` stands for what
/// differs from one run to the next: inside of a line for any characters, in a line of its
/// own for any number of lines. All commands of a chapter run one after the other in one
/// directory, which holds `rootfs/`, a small root file system. White space at the end of a
/// line does not count.
struct Transcript {
    /// One command and what the book says it prints.
    struct Command {
        /// The command as it stands in the book, with its prompts.
        let shown: [String]
        /// What the shell gets.
        let script: String
        /// Whether an ordinary user runs it.
        let isForUser: Bool
        /// From the top of the chapter, from 1.
        let line: Int
        fileprivate(set) var expected: [String] = []
        fileprivate(set) var exitCode = 0
    }

    private(set) var commands: [Command] = []

    /// Reads the lines of a block, of which the first is line `firstLine` of `path`.
    init(_ lines: [String], path: String, firstLine: Int) throws(Problem) {
        var index = 0
        while index < lines.count {
            let line = firstLine + index
            guard Transcript.isCommand(lines[index]) else {
                throw Problem(path, line, "a transcript begins with a command: “# …” or “$ …”.")
            }
            let rest = lines[(index + 1)...]
            let shown = [lines[index]] + rest.prefix { $0.hasPrefix("> ") || $0 == ">" }
            if shown[shown.count - 1].hasSuffix("\\") {
                throw Problem(path, line, "this command goes on; its next line begins with “> ”.")
            }
            var command = Command(
                shown: shown, script: Transcript.script(shown),
                isForUser: lines[index].hasPrefix("$"), line: line)
            let output = lines[(index + shown.count)...].prefix { !Transcript.isCommand($0) }
            command.read(output.map(Transcript.trimmed))
            commands.append(command)
            index += shown.count + output.count
        }
    }

    /// A line of output as the book can show it: one that looks like a command, like more of
    /// one, like an exit status or like the end of the block begins with a wildcard instead.
    static func quoted(_ line: String) -> String {
        let isMisread =
            isCommand(line) || line.hasPrefix("> ") || line == ">" || exitCode(line) != nil
            || line.drop { $0 == " " }.hasPrefix("```")
        guard isMisread else { return line }
        let blank = line.prefix { $0 == " " }
        return blank + String(Wildcard.mark) + line.dropFirst(blank.count + 1)
    }

    /// Output as lines: bytes that are not UTF-8 as U+FFFD, control characters as `^X`.
    ///
    /// The lab's random name is a wildcard from the start, so that no author has to put it.
    static func lines(_ output: [UInt8], lab: String? = nil) -> [String] {
        var text = String(decoding: output, as: UTF8.self)
        if let lab { text.replace(lab, with: Leftovers.prefix + String(Wildcard.mark)) }
        var lines =
            text
            .unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
            .map { trimmed(visible($0)) }
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    /// `[exit 1]`, or nothing for a command that succeeds.
    static func exitLine(_ code: Int) -> [String] { code == 0 ? [] : ["[exit \(code)]"] }

    fileprivate static func exitCode(_ line: String) -> Int? {
        line.wholeMatch(of: /\[exit (\d+)\]/).flatMap { Int($0.1) }
    }

    private static func isCommand(_ line: String) -> Bool {
        line.hasPrefix("# ") || line.hasPrefix("$ ")
    }

    private static func script(_ shown: [String]) -> String {
        shown.map { String($0.dropFirst(2)) }.joined(separator: "\n")
    }

    private static func trimmed(_ line: String) -> String {
        var line = line
        while line.last?.isWhitespace == true { line.removeLast() }
        return line
    }

    private static func visible(_ line: Substring.UnicodeScalarView) -> String {
        var text = String.UnicodeScalarView()
        let ended = line.last == "\r" ? line.dropLast() : line
        for scalar in ended {
            if scalar.value >= 0x20 && scalar.value != 0x7F || scalar == "\t" {
                text.append(scalar)
            } else {
                text.append("^")
                text.append(Unicode.Scalar(UInt8(scalar.value) ^ 0x40))
            }
        }
        return String(text)
    }
}

extension Transcript.Command {
    /// What the block should hold for this command, after it printed `output`.
    func refreshed(_ output: [String], exitCode: Int) -> [String] {
        shown + Refreshed.lines(expected, output) + Transcript.exitLine(exitCode)
    }

    /// What the block holds for this command now.
    var unchanged: [String] { shown + expected + Transcript.exitLine(exitCode) }

    fileprivate mutating func read(_ lines: [String]) {
        guard let code = lines.last.flatMap(Transcript.exitCode) else {
            expected = lines
            return
        }
        exitCode = code
        expected = lines.dropLast()
    }
}
