import Engine
import Isolation
import Kernel
import OCISpec
import Terminal

/// `hull doctor`: what works on this machine, and what it takes for the rest.
enum DoctorCommand {
    static let command = Command(
        "hull doctor", "[network]",
        "Say what works on this machine, and what it takes for the rest.",
        options: [Option("json", nil, .none, "As JSON, for programs.")],
        notes: "With `network`, say why packets of containers don't get through, and what helps.\n"
            + "Exit codes: 0 if the stages and `hull run` work as this user, else 1.")

    static func run(_ arguments: [String]) throws(KernelError) -> Int32 {
        let isNetwork = arguments.dropFirst().first == "network"
        let options = try command.parse(isNetwork ? ["hull"] + arguments.dropFirst(2) : arguments)
        if options.has("help") { return command.showHelp() }
        if isNetwork { return network(options) }
        let findings = Doctor.examine(StateDirectories())
        Program.write(options.has("json") ? json(findings) : report(findings))
        return findings.contains(where: \.isFatal) ? 1 : 0
    }

    /// 1 where something is in the packets' way.
    private static func network(_ options: Arguments) -> Int32 {
        let findings = Doctor.examineNetwork()
        let stopped = findings.contains { $0.verdict == .missing }
        let conclusion =
            stopped ? "Packets of containers do not get through.\n" : "Packets can get through.\n"
        Program.write(
            options.has("json") ? json(findings) : report(findings, conclusion: conclusion))
        return stopped ? 1 : 0
    }

    private static func report(_ findings: [Finding], conclusion: String? = nil) -> String {
        let style = Style(for: 1)
        let rows = findings.map { [mark($0.verdict, style), $0.check, $0.detail] }
        let troubled = findings.filter { $0.verdict != .ok }
        let remedies = troubled.map { finding in
            "  \(style.bold(finding.check))\n    costs   \(finding.cost)\n"
                + "    get it  \(finding.remedy)\n"
        }
        let heading = troubled.isEmpty ? "" : "\nWhat is missing, and how to get it:\n"
        return Table.aligned(rows) + heading + remedies.joined() + "\n"
            + (conclusion ?? self.conclusion(findings))
    }

    private static func conclusion(_ findings: [Finding]) -> String {
        let fatal = findings.filter(\.isFatal).map(\.check)
        if fatal.isEmpty { return "Stages 1 to 3 and `hull run` work here.\n" }
        return "Stages 1 to 3 and `hull run` need: \(fatal.joined(separator: ", ")).\n"
    }

    private static func mark(_ verdict: Finding.Verdict, _ style: Style) -> String {
        switch verdict {
        case .ok: style.green("✓ ok")
        case .warning: style.yellow("! warn")
        case .missing: style.red("✗ missing")
        }
    }

    private static func json(_ findings: [Finding]) -> String {
        let values = findings.map { finding in
            JSON.object(present: [
                ("check", .string(finding.check)), ("verdict", .string(finding.verdict.rawValue)),
                ("finding", .string(finding.detail)), ("cost", .string(finding.cost)),
                ("remedy", .string(finding.remedy)), ("needed", .bool(finding.isNeeded)),
            ])
        }
        return JSON.array(values).text(indent: 2) + "\n"
    }
}
