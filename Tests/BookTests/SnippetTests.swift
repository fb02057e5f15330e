import Foundation
import Testing

@testable import Book

private let source = """
    enum Chroot {
        // book: begin enter
        func enter() {
            // book: begin call
            chroot(rootfs)

            chdir("/")
            // book: end call
        }
        // book: end enter
    }
    """

@Suite struct SnippetTests {
    @Test func `a region is shown without its markers and its indentation`() throws {
        let fixture = try Fixture(["Sources/A.swift": source])
        let parsed = try Source(TextFile("Sources/A.swift", in: fixture.root))
        #expect(parsed.snippet("call") == ["chroot(rootfs)", "", "chdir(\"/\")"])
        #expect(parsed.snippet("enter")?.count == 5)
        #expect(parsed.snippet("enter")?.first == "func enter() {")
        #expect(parsed.snippet(nil)?.count == 7)
        #expect(parsed.snippet("none") == nil)
    }

    @Test(arguments: [
        ("// book: begin a\n// book: end a\n// book: begin a\n// book: end a", 3),
        ("// book: begin a\n// book: begin a\n// book: end a\n// book: end a", 2),
        ("x\n// book: begin a\n", 2),
        ("// book: end a\n", 1),
        ("// book: begin a\n// book: begin b\n// book: end a\n// book: end b\n", 3),
    ]) func `markers that do not nest or are there twice are told with their line`(
        _ text: String, _ line: Int
    ) throws {
        let fixture = try Fixture(["Sources/A.c": text])
        let problem = #expect(throws: Problem.self) {
            try Source(TextFile("Sources/A.c", in: fixture.root))
        }
        #expect(problem?.line == line)
    }

    @Test func `what only looks like a marker is code`() throws {
        let text = "let s = \"// book: begin a\"\n// book: beginning b\n/// book: begin c\n"
        let fixture = try Fixture(["Sources/A.swift": text])
        let parsed = try Source(TextFile("Sources/A.swift", in: fixture.root))
        #expect(parsed.regions.isEmpty)
        #expect(parsed.snippet(nil)?.count == 3)
    }

    @Test func `refresh writes the block where there is none, and then check is content`()
        async throws
    {
        let fixture = try Fixture([
            "Sources/A.swift": source,
            "chapters/01.md": "Look:\n<!-- source: Sources/A.swift#call -->\n\n```sh\nls\n```\n",
        ])
        let before = await fixture.work()
        #expect(before.problems.map(\.line) == [2])
        let refreshed = await fixture.work(refresh: true)
        #expect(refreshed.isChanged && refreshed.problems.isEmpty)
        #expect(
            try fixture.read("chapters/01.md") == """
                Look:
                <!-- source: Sources/A.swift#call -->
                *Sources/A.swift*
                ```swift
                chroot(rootfs)

                chdir("/")
                ```

                ```sh
                ls
                ```

                """)
        let after = await fixture.work()
        #expect(after.problems.isEmpty && after.snippets == 1)
    }

    @Test func `a stale block is told with its line and a diff`() async throws {
        let fixture = try Fixture([
            "Sources/A.swift": "one\ntwo\n",
            "chapters/01.md":
                "<!-- source: Sources/A.swift -->\n*Sources/A.swift*\n```swift\none\n2\n```\n",
        ])
        let problem = try #require(await fixture.work().problems.first)
        #expect(problem.line == 5)
        #expect(problem.description.contains("chapters/01.md:5: "))
        #expect(
            problem.message.contains(
                "@@ -2,5 +2,5 @@\n *Sources/A.swift*\n ```swift\n one\n-2\n+two"))
    }

    @Test func `a missing file and a missing region are told where the chapter names them`()
        async throws
    {
        let fixture = try Fixture([
            "Sources/A.swift": source,
            "chapters/01.md":
                "<!-- source: Sources/A.swift#no -->\n<!-- source: Sources/B.swift -->\n",
        ])
        let problems = await fixture.work().problems
        #expect(problems.map(\.line) == [1, 2])
        #expect(problems[0].message.contains("has no region “no”"))
        #expect(problems[1].message.contains("Sources/B.swift: there is no such file"))
    }

    @Test func `a chapter with CRLF is compared line by line and keeps its line ends`() async throws
    {
        let fixture = try Fixture([
            "Sources/A.swift": "one\r\ntwo\r\n",
            "chapters/01.md":
                "<!-- source: Sources/A.swift -->\r\n*Sources/A.swift*\r\n```swift\r\none\r\n```\r\n",
        ])
        #expect(await fixture.work().problems.count == 1)
        _ = await fixture.work(refresh: true)
        #expect(try fixture.read("chapters/01.md").hasSuffix("one\r\ntwo\r\n```\r\n"))
        #expect(await fixture.work().problems.isEmpty)
    }

    @Test func `a snippet with a fence in it gets a longer fence`() async throws {
        let fixture = try Fixture([
            "Sources/a.h": "```\n", "chapters/01.md": "<!-- source: Sources/a.h -->\n",
        ])
        _ = await fixture.work(refresh: true)
        #expect(try fixture.read("chapters/01.md").contains("````c\n```\n````\n"))
        #expect(await fixture.work().problems.isEmpty)
    }
}

@Suite struct ChapterTests {
    @Test(arguments: [
        ("text\n```console\n# ls\n", 2, "never closed"),
        ("<!-- source: a\n", 1, "never closed"),
        ("<!-- source: -->\n", 1, "needs something"),
        ("<!-- not run: why -->\n\ntext\n\n```console\n# a\n```\n", 1, "not run"),
        ("```console\noutput\n# ls\n```\n", 2, "begins with a command"),
        ("```console\n# ls \\\nfile\n```\n", 2, "goes on"),
    ]) func `a chapter that cannot be read is told with its line`(
        _ text: String, _ line: Int, _ words: String
    ) throws {
        let fixture = try Fixture(["chapters/01.md": text])
        let problem = #expect(throws: Problem.self) {
            try Chapter("chapters/01.md", in: fixture.root)
        }
        #expect(problem?.line == line)
        #expect(problem?.message.contains(words) == true)
    }

    @Test func `a chapter that is not UTF-8 is told`() throws {
        let fixture = try Fixture()
        try fixture.write("", to: "chapters/01.md")
        let file = fopen(fixture.root + "/chapters/01.md", "w")
        fputc(0xFF, file)
        fclose(file)
        #expect(throws: Problem.self) { try Chapter("chapters/01.md", in: fixture.root) }
    }

    @Test func `comments in a code block are code`() throws {
        let text = "````md\n<!-- source: nope -->\n```console\nnope\n```\n````\n"
        let fixture = try Fixture(["chapters/01.md": text])
        #expect(try Chapter("chapters/01.md", in: fixture.root).parts.isEmpty)
    }

    @Test func `code without a source is worth a warning`() async throws {
        let fixture = try Fixture(["chapters/01.md": "```swift\npasted()\n```\n"])
        #expect(await fixture.work().warnings.map(\.line) == [1])
    }

    @Test func `a link to a file that is not there is told, any other is not`() async throws {
        let fixture = try Fixture([
            "Sources/A B.swift": "",
            "chapters/01.md": """
            [a](../Sources/A%20B.swift#L1) ![b](no.png "title") `[c](code.md)` [d](https://x.y/z)
            [e](#here) and <img src="no.svg"> and [f][g].

            [g]: gone.md
            """,
        ])
        #expect(await fixture.work().problems.map(\.line) == [1, 2, 4])
    }

    @Test func `a region that no chapter shows is worth a warning`() throws {
        let fixture = try Fixture([
            "Sources/A.swift": source, "README.md": "[no](nowhere.md)",
            "chapters/01.md": "<!-- source: Sources/A.swift#call -->\n",
        ])
        let report = Book(root: fixture.root).workOnTheRest()
        #expect(report.warnings.map(\.line) == [2])
        #expect(report.problems.map(\.file) == ["README.md"])
    }

    @Test func `a chapter is found by its number and by its name`() throws {
        let fixture = try Fixture(["chapters/01-chroot.md": "", "chapters/11-x.md": ""])
        let book = Book(root: fixture.root)
        #expect(book.chapters("1") == ["chapters/01-chroot.md"])
        #expect(book.chapters("chroot") == ["chapters/01-chroot.md"])
        #expect(book.chapters("2").isEmpty && book.chapters().count == 2)
    }
}
