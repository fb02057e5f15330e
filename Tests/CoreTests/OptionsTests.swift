import Kernel
import Terminal
import Testing

/// The command line: options first, then the command, which is left alone.
@Suite(.serialized) struct OptionsTests {
    private let command = Command(
        "tool", "WHAT", "Does it.",
        options: [
            Option("all", "a", .none, "All."), Option("volume", "v", .required("X"), "One."),
            Option("explain", nil, .optional("FORMAT"), "Tell."),
        ])

    @Test("Options are read up to the first operand, and the rest belongs to the command")
    func operands() throws {
        let parsed = try command.parse(["tool", "-a", "-v", "x", "--volume=y", "ls", "-l", "--all"])
        #expect(parsed.has("all"))
        #expect(parsed.values("volume") == ["x", "y"])
        #expect(parsed.operands == ["ls", "-l", "--all"])
    }

    @Test("Two dashes end the options")
    func dashes() throws {
        #expect(try command.parse(["tool", "--", "-a"]).operands == ["-a"])
    }

    @Test("A value that may be left out is only taken with =")
    func optional() throws {
        let parsed = try command.parse(["tool", "--explain", "json"])
        #expect(parsed.has("explain"))
        #expect(parsed.value("explain") == nil)
        #expect(parsed.operands == ["json"])
        #expect(try command.parse(["tool", "--explain=json"]).value("explain") == "json")
    }

    @Test(
        "A wrong option is named, with the way to the help",
        arguments: [
            (["--nope"], "--nope"), (["-x"], "-x"), (["--volume"], "--volume"), (["-v"], "-v"),
            (["-ax"], "-x"), (["--all=1"], "--all=1"),
        ])
    func wrong(arguments: [String], named: String) {
        let error = #expect(throws: KernelError.self) {
            _ = try command.parse(["tool"] + arguments)
        }
        #expect(error?.object == named)
        #expect(error?.exitCode == 125)
        #expect(error?.remedy.contains("tool --help") == true)
    }

    @Test("The columns of the help stand under each other")
    func help() {
        let lines = command.help.split(separator: "\n").filter { $0.contains("--") }
        let columns = Set(
            lines.compactMap { line in
                ["All.", "One.", "Tell.", "Show"].compactMap { line.range(of: $0) }.first
                    .map { line.distance(from: line.startIndex, to: $0.lowerBound) }
            })
        #expect(columns.count == 1)
    }
}
