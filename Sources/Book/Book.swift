import Foundation

/// The chapters of a project, checked against its code or brought up to date with it.
public struct Book: Sendable {
    /// What to do.
    public struct Request: Sendable {
        /// Whether to write what has changed into the chapters; otherwise it is only told.
        public var refreshes = false
        /// Whether to run the transcripts, which takes root.
        public var runsTranscripts = true
        /// A chapter's number or a part of its name; all of them where it is nil.
        public var chapter: String?
        /// The directory of the project's programs.
        public var products = ".build/debug"

        /// Checks everything, with the programs of a debug build.
        public init() {}
    }

    /// What was found.
    public struct Report: Sendable {
        /// What is not true, or could not be checked.
        public fileprivate(set) var problems: [Problem] = []
        /// What deserves a look.
        public fileprivate(set) var warnings: [Problem] = []
        /// How many pieces of code were compared.
        public fileprivate(set) var snippets = 0
        /// How many commands were run.
        public fileprivate(set) var commands = 0
        /// Where a transcript stands that is not run, and why.
        public fileprivate(set) var notRun: [Problem] = []
        /// Whether the chapter was written.
        public fileprivate(set) var isChanged = false

        mutating func add(_ other: Report) {
            problems += other.problems
            warnings += other.warnings
            snippets += other.snippets
            commands += other.commands
            notRun += other.notRun
        }
    }

    /// The top of the project.
    let root: String

    /// The book of the project at `root`.
    public init(root: String) { self.root = root }

    /// The chapters' paths from the top of the project, in their order.
    public func chapters(_ wanted: String? = nil) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root + "/chapters")) ?? []
        return names.filter { $0.hasSuffix(".md") && matches($0, wanted) }.sorted()
            .map { "chapters/" + $0 }
    }

    private func matches(_ name: String, _ wanted: String?) -> Bool {
        guard let wanted else { return true }
        if let number = Int(wanted) { return Int(name.prefix { $0.isNumber }) == number }
        return name.contains(wanted)
    }

    /// Checks or refreshes one chapter.
    public func work(on path: String, _ request: Request) async -> Report {
        var report = Report()
        do throws(Problem) {
            let chapter = try Chapter(path, in: root)
            report.warnings += chapter.unsourced
            report.problems += Links.broken(in: chapter, root: root)
            var changes = compareSnippets(of: chapter, &report)
            if request.runsTranscripts {
                changes += await runTranscripts(of: chapter, request, &report)
            }
            try settle(changes, chapter, request, &report)
        } catch {
            report.problems.append(error)
        }
        return report
    }

    /// Checks what no chapter can: the links of the README, and whether every marked region
    /// of `Sources/` is in the book.
    public func workOnTheRest() -> Report {
        var report = Report()
        if FileManager.default.fileExists(atPath: root + "/README.md") {
            do throws(Problem) {
                let readme = try Chapter("README.md", in: root)
                report.problems += Links.broken(in: readme, root: root)
            } catch {
                report.problems.append(error)
            }
        }
        findUnusedRegions(&report)
        return report
    }

    private func settle(
        _ changes: [Change], _ chapter: Chapter, _ request: Request, _ report: inout Report
    ) throws(Problem) {
        guard request.refreshes else {
            report.problems += changes.map { $0.problem(in: chapter.file) }
            return
        }
        // A chapter whose commands were not all run is left as it is.
        if changes.isEmpty || Task.isCancelled { return }
        var file = chapter.file
        for change in changes.sorted(by: { $0.range.lowerBound > $1.range.lowerBound }) {
            file.lines.replaceSubrange(change.range, with: change.lines)
        }
        try file.write()
        report.isChanged = true
    }

    // MARK: Code

    private func compareSnippets(of chapter: Chapter, _ report: inout Report) -> [Change] {
        var changes: [Change] = []
        for case .snippet(let snippet) in chapter.parts {
            report.snippets += 1
            do throws(Problem) {
                let source = try Source(TextFile(snippet.path, in: root))
                guard let lines = snippet.rendered(source) else {
                    throw Problem(
                        chapter.file.path, snippet.line,
                        "\(snippet.path) has no region “\(snippet.region ?? "")”.")
                }
                let change = Change(
                    range: snippet.range, lines: lines, line: snippet.line,
                    what: "this is not what \(snippet.path) says.")
                if change.isNeeded(in: chapter.file) { changes.append(change) }
            } catch {
                report.problems.append(error.inside(chapter.file.path, snippet.line))
            }
        }
        return changes
    }

    private func findUnusedRegions(_ report: inout Report) {
        let used = Set(
            chapters().compactMap { try? Chapter($0, in: root) }.flatMap(\.parts).compactMap {
                part -> String? in
                guard case .snippet(let snippet) = part else { return nil }
                return "\(snippet.path)#\(snippet.region ?? "")"
            })
        let files = FileManager.default.enumerator(atPath: root + "/Sources")
        while let name = files?.nextObject() as? String {
            guard [".swift", ".c", ".h"].contains(where: name.hasSuffix) else { continue }
            do throws(Problem) {
                let source = try Source(TextFile("Sources/" + name, in: root))
                for (region, lines) in source.regions.sorted(by: { $0.key < $1.key })
                where !used.contains("\(source.path)#\(region)") {
                    let message = "no chapter shows the region “\(region)”."
                    report.warnings.append(Problem(source.path, lines.lowerBound, message))
                }
            } catch {
                report.problems.append(error)
            }
        }
    }

    // MARK: Transcripts

    private func runTranscripts(
        of chapter: Chapter, _ request: Request, _ report: inout Report
    ) async -> [Change] {
        for case .notRun(let reason, let line) in chapter.parts {
            report.notRun.append(Problem(chapter.file.path, line, "not run: \(reason)"))
        }
        let hasTranscripts = chapter.parts.contains {
            if case .transcript = $0 { true } else { false }
        }
        guard hasTranscripts else { return [] }
        var changes: [Change] = []
        do {
            let plan = Lab.Plan(root: root, products: request.products)
            let left = try await Lab.with(plan) { lab in
                changes = await run(chapter, in: lab, &report)
            }
            report.warnings += left.map { Problem(chapter.file.path, nil, $0) }
        } catch {
            report.problems.append(Problem(chapter.file.path, nil, "no lab: \(error)"))
        }
        return changes
    }

    private func run(_ chapter: Chapter, in lab: Lab, _ report: inout Report) async -> [Change] {
        var changes: [Change] = []
        for part in chapter.parts where !Task.isCancelled {
            switch part {
            case .setup(let script, let line):
                let problem = await setUp(script, in: lab).map {
                    Problem(chapter.file.path, line, $0)
                }
                report.problems += problem.map { [$0] } ?? []
            case .transcript(let transcript, let range):
                let lines = await run(transcript, chapter.file.path, in: lab, &report)
                let change = Change(
                    range: range, lines: lines, line: range.lowerBound + 1,
                    what: "the commands print something else.")
                if change.isNeeded(in: chapter.file) { changes.append(change) }
            case .snippet, .notRun: break
            }
        }
        return changes
    }

    /// - Returns: what went wrong.
    private func setUp(_ script: String, in lab: Lab) async -> String? {
        do {
            let outcome = try await lab.run(script, asUser: false)
            if outcome.exitCode == 0 { return nil }
            let output = Transcript.lines(outcome.output, lab: lab.path).joined(separator: "\n")
            return "this ended with exit status \(outcome.exitCode).\n\(output)"
        } catch {
            return "\(error)"
        }
    }

    private func run(
        _ transcript: Transcript, _ path: String, in lab: Lab, _ report: inout Report
    ) async -> [String] {
        var lines: [String] = []
        for command in transcript.commands {
            report.commands += 1
            do {
                let outcome = try await lab.run(command.script, asUser: command.isForUser)
                lines += command.refreshed(
                    Transcript.lines(outcome.output, lab: lab.path), exitCode: outcome.exitCode)
            } catch {
                report.problems.append(Problem(path, command.line, "\(error)"))
                lines += command.unchanged
            }
        }
        return lines
    }
}

/// Lines of a chapter that should be others.
private struct Change {
    let range: Range<Int>
    let lines: [String]
    /// Where to send the reader when nothing is there yet.
    let line: Int
    let what: String

    /// White space at the end of a line does not count: editors take it away.
    func isNeeded(in file: TextFile) -> Bool {
        let old = file.lines[range]
        return old.count != lines.count
            || !zip(old, lines).allSatisfy { trimmed($0) == trimmed($1) }
    }

    func problem(in file: TextFile) -> Problem {
        let old = file.lines[range].map(trimmed)
        let diff = Diff.unified(old, lines.map(trimmed), firstLine: range.lowerBound + 1)
        let same = zip(old, lines).prefix { $0 == $1 }.count
        let place = range.isEmpty ? line : min(range.lowerBound + same + 1, range.upperBound)
        return Problem(file.path, place, ([what] + diff).joined(separator: "\n"))
    }

    private func trimmed(_ line: String) -> String {
        var line = line
        while line.last?.isWhitespace == true { line.removeLast() }
        return line
    }
}

extension Problem {
    /// An error of a source file, told where the chapter names it.
    fileprivate func inside(_ chapter: String, _ line: Int) -> Problem {
        file == chapter ? self : Problem(chapter, line, description)
    }
}
