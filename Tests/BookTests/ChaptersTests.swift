import Subprocess
import SystemPackage
import Testing

@testable import Book

/// The book itself, as it stands in `chapters/`.
@Suite struct ChaptersTests {
    private static let book = Book(root: Project.root)

    @Test(arguments: book.chapters())
    func `every snippet equals its source and every link leads to a file`(_ chapter: String) async {
        var request = Book.Request()
        request.runsTranscripts = false
        let report = await Self.book.work(on: chapter, request)
        #expect(report.problems.map(\.description) == [])
    }

    @Test func `the links of the README lead to files and every region is well marked`() {
        #expect(Self.book.workOnTheRest().problems.map(\.description) == [])
    }

    /// By the program and not in this process: it puts itself into a mount namespace, which
    /// other tests can't see into. One chapter after the other: its reader has the machine alone
    /// too, and two would take each other's addresses and processor.
    @Test(
        .serialized, .enabled(if: Project.isRoot, "transcripts need root"),
        arguments: book.chapters())
    func `every transcript prints what the chapter says`(_ chapter: String) async throws {
        let name = chapter.split(separator: "/").last.map(String.init) ?? chapter
        let result = try await Subprocess.run(
            .path(FilePath(Project.products + "/hull-book")),
            arguments: [
                "--check", "--chapter", name, "--root", Project.root,
                "--products", Project.products,
            ],
            output: .string(limit: 1 << 20), error: .combinedWithOutput)
        #expect(result.terminationStatus.isSuccess, "\(result.standardOutput)")
    }
}
