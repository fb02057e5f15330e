import Foundation
import Synchronization
import Testing

/// What all tests share: a directory, and daemons that take a second to start.
///
/// A daemon is started by the first test that asks for it and ended when the suite ends.
final class Workshop: Sendable {
    /// The one of the tests that run now.
    @TaskLocal static var current: Workshop?

    let directory: String
    private let docker = Mutex<Docker?>(nil)

    fileprivate init() throws {
        // On a disk, as images are; a daemon's socket needs a short path.
        directory = "/var/tmp/hull-interop-\(randomWord())"
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o755])
    }

    /// Docker, with a daemon of the tests' own.
    static func docker() throws -> Docker {
        let workshop = try #require(Workshop.current)
        return try workshop.docker.withLock { docker in
            if let docker { return docker }
            let started = try Docker(in: workshop.directory + "/docker")
            docker = started
            return started
        }
    }

    fileprivate func close() {
        docker.withLock { $0 = nil }
        removeAll(directory)
    }
}

/// Gives the suite its workshop, once, and takes it away.
struct InWorkshop: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let workshop = try Workshop()
        defer { workshop.close() }
        try await Workshop.$current.withValue(workshop) { try await function() }
    }
}

/// Hull beside the other programs that make, move and run images.
///
/// Needs root, as daemons and containers do. With CI set, tests that cannot run have to fail and
/// not to be passed over.
@Suite(.enabled(if: isRoot || isCI, "needs root"), InWorkshop())
struct InteropSuite {}

private let isRoot = geteuid() == 0
private let isCI = ProcessInfo.processInfo.environment["CI"] == "true"
