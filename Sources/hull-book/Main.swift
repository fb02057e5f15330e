import Book
import Dispatch
import Foundation
import Kernel
import Terminal

/// `hull-book`: what keeps `chapters/` true.
@main enum Main {
    private static let command = Command(
        "hull-book", "",
        "Hold the chapters against the code: every snippet equals its source, every\n"
            + "transcript is run and prints what the chapter says. Start it by labs/book.",
        options: [
            Option(
                "check", nil, .none, "Tell what differs, and change nothing. This is the default."),
            Option("refresh", nil, .none, "Write what differs into the chapters."),
            Option("snippets-only", nil, .none, "Run no transcripts: that takes root."),
            Option(
                "chapter", nil, .required("N"), "One chapter, by its number or a part of its name."),
            Option(
                "products", nil, .required("DIR"), "Where stages and hull are; here: beside this."),
            Option("root", nil, .required("DIR"), "The top of the project; here: this directory."),
        ],
        notes: Notation.text)

    static func main() async {
        Program.secureStandardDescriptors()
        do throws(KernelError) {
            let words = ["hull-book"] + CommandLine.arguments.dropFirst()
            let arguments = try command.parse(words)
            if arguments.has("help") {
                Program.write(command.help)
                return
            }
            exit(await Work(try Work.request(arguments), arguments).run())
        } catch {
            Program.fail(error, in: "hull-book")
        }
    }
}

/// One run over the chapters.
private struct Work {
    private let book: Book
    private let request: Book.Request
    private let canRun = geteuid() == 0

    init(_ request: Book.Request, _ arguments: Terminal.Arguments) {
        let root = arguments.value("root") ?? "."
        book = Book(root: URL(fileURLWithPath: root).path)
        self.request = request
    }

    static func request(_ arguments: Terminal.Arguments) throws(KernelError) -> Book.Request {
        if let word = arguments.operands.first {
            throw KernelError("argument", word, .invalidArgument, remedy: "There are none.")
        }
        if arguments.has("check") && arguments.has("refresh") {
            throw KernelError("option", "--refresh", .invalidArgument, remedy: "Not with --check.")
        }
        var request = Book.Request()
        request.refreshes = arguments.has("refresh")
        request.runsTranscripts = !arguments.has("snippets-only")
        request.chapter = arguments.value("chapter")
        let here = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        let products = arguments.value("products").map { URL(fileURLWithPath: $0) }
        request.products = (products ?? here.deletingLastPathComponent()).path
        return request
    }

    /// - Returns: the exit code.
    func run() async -> Int32 {
        let chapters = book.chapters(request.chapter)
        if chapters.isEmpty && request.chapter != nil {
            Program.write("hull-book: there is no such chapter.\n", to: 2)
            return 125
        }
        if request.runsTranscripts && canRun { PrivateMounts.enter() }
        let work = Task { await go(through: chapters) }
        let signals = [SIGINT, SIGTERM, SIGHUP].map { Interruption.watch($0) { work.cancel() } }
        let code = await work.value
        return withExtendedLifetime(signals) { code }
    }

    private func go(through chapters: [String]) async -> Int32 {
        var problems = 0
        var (snippets, commands, notRun) = (0, 0, 0)
        for chapter in chapters {
            var request = request
            request.runsTranscripts = request.runsTranscripts && canRun
            let clock = ContinuousClock()
            let start = clock.now
            let report = await book.work(on: chapter, request)
            if Task.isCancelled { return 130 }
            show(report, chapter, clock.now - start)
            problems += report.problems.count
            (snippets, commands) = (snippets + report.snippets, commands + report.commands)
            notRun += report.notRun.count
        }
        if request.chapter == nil {
            let rest = book.workOnTheRest()
            list(rest)
            problems += rest.problems.count
        }
        Program.write(
            "chapters: \(chapters.count), snippets: \(snippets), commands: \(commands), "
                + "transcripts not run: \(notRun), problems: \(problems)\n")
        return finish(problems)
    }

    private func finish(_ problems: Int) -> Int32 {
        if request.runsTranscripts && !canRun {
            Program.write(
                "hull-book: the transcripts were not run: they need root, because they make\n"
                    + "namespaces and mounts. Without it: labs/book --check --snippets-only\n",
                to: 2)
            return 1
        }
        return problems == 0 ? 0 : 1
    }

    private func show(_ report: Book.Report, _ chapter: String, _ time: Duration) {
        let style = Style(for: 1)
        let word =
            !report.problems.isEmpty
            ? style.red("WRONG") : report.isChanged ? style.yellow("rewritten") : style.green("ok")
        let seconds = time.formatted(.units(allowed: [.seconds], fractionalPart: .show(length: 1)))
        Program.write(
            "\(chapter): \(word)  \(report.snippets) snippets, \(report.commands) commands, "
                + "\(seconds)\n")
        list(report)
    }

    private func list(_ report: Book.Report) {
        for line in report.notRun { Program.write("\(line)\n") }
        for line in report.warnings {
            Program.write(
                "\(line.file):\(line.line.map { "\($0):" } ?? "") warning: \(line.message)\n")
        }
        for line in report.problems { Program.write("\(line)\n") }
    }
}

/// A mount namespace of our own: no mount of a transcript ever reaches the machine, and the
/// last of them goes when we go, killed or not.
private enum PrivateMounts {
    private static let mark = "HULL_BOOK_MOUNTS"

    /// A reader's own containers are not those that the book lists.
    private static let covering =
        "if [ -d /run/hull-runtime ]; then mount -t tmpfs tmpfs /run/hull-runtime; fi"

    /// Starts this program again in the namespace, unless it is there already.
    ///
    /// `unshare(1)` does it, because a program with threads would move one of them only.
    /// Mounts are shared within the namespace, as they are on a machine with systemd.
    static func enter() {
        guard getenv(mark) == nil else { return }
        setenv(mark, "1", 1)
        let shell = "mount --make-rshared / && \(covering) && exec \"$@\""
        let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
        let words =
            ["unshare", "--mount", "--propagation", "slave", "sh", "-c", shell, "sh", program]
            + CommandLine.arguments.dropFirst()
        var pointers = words.map { strdup($0) } + [nil]
        execvp("unshare", &pointers)
        Program.write("hull-book: unshare(1) cannot be run; going on without it.\n", to: 2)
    }
}

/// A signal that asks us to stop: labs are removed first.
private enum Interruption {
    static func watch(_ signal: Int32, _ handler: @escaping @Sendable () -> Void)
        -> any DispatchSourceSignal
    {
        Foundation.signal(signal, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: signal, queue: .global())
        source.setEventHandler(handler: handler)
        source.resume()
        return source
    }
}
