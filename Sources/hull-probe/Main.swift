import Kernel
import Terminal

/// Attacks and observes from inside a sandbox: one line, and an exit code that says who won.
@main enum Main {
    static func main() {
        Program.run { arguments throws(KernelError) in
            let given = try command.parse(arguments)
            if given.has("help") { return show(command.help) }
            if given.has("list") { return show(list()) }
            if given.has("markdown") { return show(markdown()) }
            return attack(given.operands)
        }
    }

    private static let command = Command(
        "hull-probe", "ATTACK [ARG…]",
        "Tries one attack from inside a sandbox and tells in one line how it ended.",
        options: [
            Option("list", "l", .none, "List the attacks and what stops each."),
            Option("markdown", nil, .none, "Count them by stage, as a table for a page."),
        ],
        notes: "Exit codes: 0 the attack got through, 1 it was stopped, 2 it could not be tried.")

    private static func attack(_ words: [String]) -> Int32 {
        guard let name = words.first else { return report(.notTried("see hull-probe --list")) }
        guard let attack = Attack.all.first(where: { $0.name == name }) else {
            return report(.notTried("there is no attack \(name); see hull-probe --list"))
        }
        return report(attack.run(Array(words.dropFirst())))
    }

    private static func report(_ outcome: Outcome) -> Int32 {
        Program.write(outcome.line + "\n")
        return outcome.exitCode
    }

    private static func list() -> String {
        let style = Style(for: 1)
        let heading = ["ATTACK", "WHAT IT TRIES", "STOPPED BY"].map(style.bold)
        let rows = Attack.all.map { attack in
            let usage = attack.operands.isEmpty ? attack.name : "\(attack.name) \(attack.operands)"
            return [usage, attack.summary, attack.stoppedBy?.rawValue ?? "–"]
        }
        return Table.aligned([heading] + rows)
    }

    /// The attacks by the stage that stops them; the README has this table.
    private static func markdown() -> String {
        var stages: [String] = []
        for stage in Attack.all.compactMap(\.stoppedBy?.rawValue) where !stages.contains(stage) {
            stages.append(stage)
        }
        var text =
            "| stopped by | attacks | their names |\n|------------|--------:|-------------|\n"
        for stage in stages {
            let names = Attack.all.filter { $0.stoppedBy?.rawValue == stage }.map(\.name)
            let quoted = names.map { "`\($0)`" }.joined(separator: " ")
            text += "| \(stage) | \(names.count) | \(quoted) |\n"
        }
        return text + "| | **\(Attack.all.filter { $0.stoppedBy != nil }.count)** | |\n"
    }

    private static func show(_ text: String) -> Int32 {
        Program.write(text)
        return 0
    }
}
