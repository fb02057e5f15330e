import Kernel

/// What is going to be timed: the file that `labs/bench` writes.
///
/// One entry a line, its fields separated by tabs:
///
///     contender   NAME  FLOOR  NOTE    WORD  WORD …
///     missing     NAME  FLOOR  REASON
///     difference  NAME  FLOOR  NOTE    WHOLE  WITHOUT
///     footnote    TEXT
///
/// A difference is what one contender takes longer than another: both by their names.
/// FLOOR is the name of the contender that does the same work with nothing else, or `-`.
/// Some of the words stand for something: see ``Contender/words(for:)``.
struct Plan {
    private(set) var contenders: [Contender] = []
    private(set) var differences: [Difference] = []
    private(set) var footnotes: [String] = []

    init(readingFrom path: String) throws(KernelError) {
        for line in try readText(path).split(separator: "\n") {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
                .map(String.init)
            switch (fields[0], fields.count) {
            case ("contender", 5...):
                contenders.append(Contender(fields, words: Array(fields[4...])))
            case ("missing", 4):
                var contender = Contender(fields, words: [])
                contender.failure = fields[3]
                contenders.append(contender)
            case ("difference", 6):
                differences.append(
                    Difference(
                        name: fields[1], floor: fields[2], note: fields[3], whole: fields[4],
                        without: fields[5]))
            case ("footnote", 2): footnotes.append(fields[1])
            default:
                throw KernelError(
                    "read the plan", path, .invalidArgument, remedy: "This is no entry: \(line)")
            }
        }
    }
}

/// What a part of a sandbox costs: one contender that has it, less one that has not.
struct Difference {
    let name: String
    /// The difference that does the same work and nothing else.
    let floor: String
    let note: String
    let whole: String
    let without: String

    /// Round by round, so that what the machine does meanwhile meets both; in nanoseconds.
    ///
    /// nil where either of the two has failed.
    func times(of contenders: [Contender]) -> [Double]? {
        let both = [whole, without].map { name in
            contenders.first { $0.name == name && $0.failure == nil }?.times
        }
        guard let whole = both[0], let without = both[1] else { return nil }
        return zip(whole, without).map { Double($0) - Double($1) }
    }
}

/// One program that starts a sandbox, and how long that took.
struct Contender {
    let name: String
    /// The contender that does the same work and nothing else.
    let floor: String?
    let note: String
    private let words: [String]
    /// Why there are no times.
    var failure: String?
    /// Wall-clock nanoseconds, one for each run.
    var times: [UInt64] = []

    init(_ fields: [String], words: [String]) {
        name = fields[1]
        floor = fields[2] == "-" ? nil : fields[2]
        note = words.isEmpty ? "" : fields[3]
        self.words = words
    }

    /// What a contender has to do inside its sandbox.
    enum Task {
        /// Print something random, which proves that it works at all.
        case echo(String)
        /// Nothing: what is timed is all that comes before and after.
        case nothing
    }

    /// The command line for a task.
    ///
    /// `{command}` stands for the command's words, `{id}` for a name that nothing else has, and
    /// `{task}`, in the path of a prepared bundle, for `echo` or `nothing`.
    func words(for task: Task) -> [String] {
        let id = "bench-" + randomName()
        return words.flatMap { word in
            switch (word, task) {
            case ("{id}", _): [id]
            case ("{command}", .echo(let text)): ["/bin/echo", text]
            case ("{command}", .nothing): ["/bin/true"]
            case (_, .echo): [word.replacing("{task}", with: "echo")]
            case (_, .nothing): [word.replacing("{task}", with: "nothing")]
            }
        }
    }
}
