/// A chapter, with the places in it that a machine can check.
///
/// They are named by HTML comments, which a reader does not see:
///
/// - `<!-- source: PATH#REGION -->`, or without `#REGION` for a whole file. The lines below
///   it, a caption and a code block, are written by `labs/book`.
/// - `<!-- setup: COMMAND -->`: run before the next transcript, by root, and not shown. It
///   may have many lines.
/// - `<!-- not run: REASON -->`: the transcript below cannot be run here.
///
/// Everything in a code block that begins with the word `console` is a `Transcript`.
struct Chapter {
    /// A place that is checked.
    enum Part {
        case snippet(Snippet)
        case setup(String, line: Int)
        case transcript(Transcript, Range<Int>)
        case notRun(reason: String, line: Int)
    }

    /// A piece of a source file.
    struct Snippet {
        let path: String
        let region: String?
        /// From 1.
        let line: Int
        /// The caption and the code block, as indices of the chapter's lines.
        let range: Range<Int>
    }

    let file: TextFile
    private(set) var parts: [Part] = []
    /// Code that is there with no source named.
    private(set) var unsourced: [Problem] = []
    /// What is neither in a code block nor in a comment, with its index.
    private(set) var prose: [(index: Int, text: String)] = []

    /// Reads the chapter `path`, which starts at `root`.
    init(_ path: String, in root: String) throws(Problem) {
        file = try TextFile(path, in: root)
        var index = 0
        var excuse: (reason: String, line: Int)?
        while index < file.lines.count {
            let line = file.lines[index]
            if Fence(line) != nil {
                index = try readBlock(at: index, &excuse)
            } else if line.hasPrefix("<!--") {
                try Chapter.expectTranscript(excuse, path)
                index = try readComment(at: index, &excuse)
            } else {
                if !line.allSatisfy(\.isWhitespace) {
                    try Chapter.expectTranscript(excuse, path)
                    prose.append((index, line))
                }
                index += 1
            }
        }
        try Chapter.expectTranscript(excuse, path)
    }

    private static func expectTranscript(
        _ excuse: (reason: String, line: Int)?, _ path: String
    ) throws(Problem) {
        guard let excuse else { return }
        throw Problem(path, excuse.line, "“not run” needs a console block right below it.")
    }

    private mutating func readBlock(
        at index: Int, _ excuse: inout (reason: String, line: Int)?
    ) throws(Problem) -> Int {
        let end = try endOfBlock(at: index)
        let language = Fence(file.lines[index])?.language ?? ""
        if language == "console" {
            let inside = index + 1..<end - 1
            let transcript = try Transcript(
                Array(file.lines[inside]), path: file.path, firstLine: inside.lowerBound + 1)
            parts.append(
                excuse.map { .notRun(reason: $0.reason, line: $0.line) }
                    ?? .transcript(transcript, inside))
            excuse = nil
        } else {
            try Chapter.expectTranscript(excuse, file.path)
            if ["swift", "c"].contains(language) {
                unsourced.append(
                    Problem(file.path, index + 1, "this \(language) block names no source."))
            }
        }
        return end
    }

    /// The index after the block that begins at `index`.
    private func endOfBlock(at index: Int) throws(Problem) -> Int {
        guard let fence = Fence(file.lines[index]) else { return index }
        let rest = file.lines[(index + 1)...]
        guard let end = rest.firstIndex(where: fence.isClosed) else {
            throw Problem(file.path, index + 1, "this code block is never closed.")
        }
        return end + 1
    }

    private mutating func readComment(
        at index: Int, _ excuse: inout (reason: String, line: Int)?
    ) throws(Problem) -> Int {
        guard let end = file.lines[index...].firstIndex(where: { $0.contains("-->") }) else {
            throw Problem(file.path, index + 1, "this comment is never closed.")
        }
        let text = file.lines[index...end].joined(separator: "\n")
        let pattern = /(?s)<!--\s*(source|setup|not run):\s*(.*?)\s*-->\s*/
        guard let match = text.wholeMatch(of: pattern) else { return end + 1 }
        let argument = String(match.2)
        guard !argument.isEmpty else {
            throw Problem(file.path, index + 1, "“\(match.1)” needs something after it.")
        }
        switch match.1 {
        case "source": return try readSnippet(argument, at: end)
        case "setup": parts.append(.setup(argument, line: index + 1))
        default: excuse = (argument, index + 1)
        }
        return end + 1
    }

    /// The caption and the block belong to the comment only where they touch it: what
    /// stands further down is never overwritten.
    private mutating func readSnippet(_ argument: String, at index: Int) throws(Problem) -> Int {
        let words = argument.split(separator: "#", omittingEmptySubsequences: false)
        var end = index + 1
        if end < file.lines.count, file.lines[end].wholeMatch(of: /\*\S+\*/) != nil { end += 1 }
        if end < file.lines.count { end = try endOfBlock(at: end) }
        parts.append(
            .snippet(
                Snippet(
                    path: String(words[0]), region: words.count > 1 ? String(words[1]) : nil,
                    line: index + 1, range: index + 1..<end)))
        return end
    }
}

/// The line that opens a code block.
struct Fence {
    /// The first word after the fence.
    let language: String
    private let mark: Character
    private let length: Int

    init?(_ line: String) {
        guard let match = line.wholeMatch(of: #/ {0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*/#),
            let mark = match.1.first
        else { return nil }
        self.mark = mark
        length = match.1.count
        language = String(match.2)
    }

    func isClosed(by line: String) -> Bool {
        guard line.prefix(while: { $0 == " " }).count <= 3 else { return false }
        let marks = line.drop { $0 == " " }.prefix { $0 == mark }
        let rest = line.drop { $0 == " " }.dropFirst(marks.count)
        return marks.count >= length && rest.allSatisfy(\.isWhitespace)
    }
}

extension Chapter.Snippet {
    /// The caption and the code block as they should be.
    func rendered(_ source: Source) -> [String]? {
        guard let code = source.snippet(region) else { return nil }
        let longest = code.map { $0.drop { $0 == " " }.prefix { $0 == "`" }.count }.max() ?? 0
        let fence = String(repeating: "`", count: max(3, longest + 1))
        return ["*\(path)*", fence + source.language] + code + [fence]
    }
}
