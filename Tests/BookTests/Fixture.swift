import Foundation

@testable import Book

/// A project of a few files, which is gone after the test.
struct Fixture: ~Copyable {
    let root: String

    init(_ files: [String: String] = [:]) throws {
        root = NSTemporaryDirectory() + "hull-book-test-" + UUID().uuidString
        for (path, text) in files { try write(text, to: path) }
        try write("", to: "products/.keep")
        try write("", to: "labs/.keep")
        let script = Project.root + "/labs/make-rootfs"
        try FileManager.default.createSymbolicLink(
            atPath: root + "/labs/make-rootfs", withDestinationPath: script)
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    func write(_ text: String, to path: String) throws {
        let url = URL(fileURLWithPath: root + "/" + path)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
    }

    func read(_ path: String) throws -> String {
        String(
            decoding: try Data(contentsOf: URL(fileURLWithPath: root + "/" + path)), as: UTF8.self)
    }

    /// Checks or refreshes `chapters/01.md`.
    func work(refresh: Bool = false, transcripts: Bool = false) async -> Book.Report {
        var request = Book.Request()
        request.refreshes = refresh
        request.runsTranscripts = transcripts
        request.products = root + "/products"
        return await Book(root: root).work(on: "chapters/01.md", request)
    }

    /// A lab with limits that a test can reach.
    func plan(timeLimit: Duration = .seconds(20), outputLimit: Int = 4 << 20) -> Lab.Plan {
        var plan = Lab.Plan(root: root, products: root + "/products")
        plan.timeLimit = timeLimit
        plan.outputLimit = outputLimit
        return plan
    }
}

/// The project that is being tested.
enum Project {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    /// Where the programs are: beside the program that runs the tests.
    static let products = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().path
    static let isRoot = geteuid() == 0
}
