import Testing

@testable import Book

@Suite struct WildcardTests {
    @Test(arguments: [
        ("pid …", "pid 12", true), ("pid …", "pid ", true), ("pid …", "pi", false),
        ("… end", "the end", true), ("… end", "the end.", false), ("a…b…c", "a b b c", true),
        ("a…b…c", "a c b", false), ("…", "", true), ("plain", "plain", true), ("a", "a ", false),
        ("…é…", "cafe\u{301} é", true), ("… …", "… x", true),
    ]) func `a wildcard in a line stands for any characters`(
        _ expected: String, _ actual: String, _ allows: Bool
    ) {
        #expect(Wildcard.line(expected, allows: actual) == allows)
    }

    @Test func `a wildcard alone stands for any number of lines`() {
        #expect(Wildcard.lines(["…"], allow: []))
        #expect(Wildcard.lines(["a", "…", "z"], allow: ["a", "z"]))
        #expect(Wildcard.lines(["…", "b", "…", "z"], allow: ["b", "c", "b", "z", "z"]))
        #expect(!Wildcard.lines(["…", "b", "…"], allow: ["c"]))
        #expect(!Wildcard.lines([], allow: ["a"]))
        #expect(!Wildcard.lines(["a"], allow: []))
    }

    @Test func `half a million lines are matched at once`() {
        let lines = Array(repeating: "x", count: 500_000)
        #expect(Wildcard.lines(["x", "…", "x"], allow: lines))
        #expect(!Wildcard.lines(["x", "…", "y"], allow: lines))
    }
}

@Suite struct RefreshedTests {
    @Test(arguments: [
        (["a", "…", "z"], ["b", "c", "z"], ["b", "…", "z"]),
        (["…"], ["a", "b"], ["…"]),
        (["a", "b"], ["a", "new", "b"], ["a", "new", "b"]),
        (["a", "b", "c"], ["a", "c"], ["a", "c"]),
        (["pid 1 …", "x"], ["new", "pid 1 7", "x"], ["new", "pid 1 …", "x"]),
        (["inode … of mnt"], ["inode 42 of pid"], ["inode … of pid"]),
        (["inode … of mnt"], ["no such file"], ["no such file"]),
        (["a", "…"], ["b"], ["b", "…"]),
        (
            [], ["# root", "$ user", "> more", "[exit 1]", "```"],
            ["… root", "… user", "… more", "…exit 1]", "…``"]
        ),
        (["gone"], [], []),
    ]) func `what still holds stays, with its wildcards`(
        _ expected: [String], _ actual: [String], _ result: [String]
    ) {
        let refreshed = Refreshed.lines(expected, actual)
        #expect(refreshed == result)
        #expect(Wildcard.lines(refreshed, allow: actual))
    }

    @Test func `whatever comes, the refreshed lines allow it and stay as they are`() {
        let words = ["a 1", "a 2", "b …", "…", "# x", "a … c", "…c", "q"]
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let expected = (0..<Int.random(in: 0...6, using: &random)).map { _ in
                words.randomElement(using: &random) ?? ""
            }
            let actual = (0..<Int.random(in: 0...6, using: &random)).map { _ in
                words.randomElement(using: &random) ?? ""
            }
            let refreshed = Refreshed.lines(expected, actual)
            #expect(Wildcard.lines(refreshed, allow: actual), "\(expected) \(actual) \(refreshed)")
            #expect(Refreshed.lines(refreshed, actual) == refreshed)
        }
    }
}

@Suite struct TranscriptTests {
    @Test func `a block is commands with what they print`() throws {
        let lines = [
            "# one \\", "> two", "out", "", "[exit 3]", "$ cat <<X", "> # text", ">", "> X",
            "# last",
        ]
        let transcript = try Transcript(lines, path: "c.md", firstLine: 10)
        let commands = transcript.commands
        #expect(commands.map(\.script) == ["one \\\ntwo", "cat <<X\n# text\n\nX", "last"])
        #expect(commands.map(\.isForUser) == [false, true, false])
        #expect(commands.map(\.line) == [10, 15, 19])
        #expect(commands.map(\.expected) == [["out", ""], [], []])
        #expect(commands.map(\.exitCode) == [3, 0, 0])
        #expect(commands.flatMap(\.unchanged) == lines)
    }

    @Test(arguments: [
        ("a\nb\n", ["a", "b"]), ("a\nb", ["a", "b"]), ("", []), ("\n", [""]), ("a \t\r\n", ["a"]),
        ("a\u{1B}[1mb\u{0}\rc\u{7F}", ["a^[[1mb^@^Mc^?"]), ("t\tt", ["t\tt"]),
    ]) func `output is lines that a book can show`(_ output: String, _ lines: [String]) {
        #expect(Transcript.lines(Array(output.utf8)) == lines)
    }

    @Test func `bytes that are not UTF-8 are shown as such`() {
        #expect(Transcript.lines([0x61, 0xFF, 0xFE, 0x62, 0x0A]) == ["a\u{FFFD}\u{FFFD}b"])
    }

    @Test func `a wildcard does not hide an exit status`() throws {
        let transcript = try Transcript(["# x", "…"], path: "c.md", firstLine: 1)
        #expect(transcript.commands[0].refreshed(["a"], exitCode: 1) == ["# x", "…", "[exit 1]"])
    }
}
