import Kernel
import Terminal

/// Times programs against each other: `labs/bench` sets them up and writes the plan.
@main enum Main {
    static let command = Command(
        "hull-bench", "PLAN", "Times the contenders of a plan, in turns, and prints a table.",
        options: [
            Option("runs", nil, .required("N"), "How often each is timed; 100 if not given."),
            Option("json", nil, .none, "Print JSON."),
            Option("markdown", nil, .none, "Print a table in Markdown."),
        ],
        notes: "labs/bench sets the contenders up, writes the plan and calls this program.")

    static func main() {
        Program.run { arguments throws(KernelError) in
            let given = try command.parse(arguments)
            if given.has("help") {
                Program.write(command.help)
                return 0
            }
            guard let path = given.operands.first else {
                throw KernelError(
                    "hull-bench", "", .invalidArgument, remedy: "Run labs/bench instead.")
            }
            var race = Race(try Plan(readingFrom: path), runs: try runs(given))
            race.checkAll()
            race.run()
            let report = Report(of: race, on: try Machine())
            if given.has("json") {
                Program.write(try report.json())
            } else {
                Program.write(given.has("markdown") ? report.markdown : report.text)
            }
            return race.hasFailures ? 1 : 0
        }
    }

    private static func runs(_ given: Arguments) throws(KernelError) -> Int {
        let word = given.value("runs") ?? "100"
        guard let runs = Int(word), runs > 0 else {
            throw KernelError(
                "option", "--runs=\(word)", .invalidArgument, remedy: "It takes a number above 0.")
        }
        return runs
    }
}
