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
    private let kept = Mutex<[ObjectIdentifier: any Sendable]>([:])

    fileprivate init() throws {
        // On a disk, as images are; a daemon's socket needs a short path.
        directory = "/var/tmp/hull-interop-\(randomWord())"
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o755])
    }

    /// Docker, with a daemon of the tests' own.
    static func docker() throws -> Docker {
        try shared { directory in try Docker(in: directory + "/docker") }
    }

    /// The one value of its type that the suite has, made by who asks first.
    static func shared<Value: AnyObject & Sendable>(
        _ make: (_ directory: String) throws -> Value
    ) throws -> Value {
        let workshop = try #require(Workshop.current)
        return try workshop.kept.withLock { kept in
            if let value = kept[ObjectIdentifier(Value.self)] as? Value { return value }
            let made = try make(workshop.directory)
            kept[ObjectIdentifier(Value.self)] = made
            return made
        }
    }

    fileprivate func close() {
        kept.withLock { $0 = [:] }
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

let isRoot = geteuid() == 0
let isCI = ProcessInfo.processInfo.environment["CI"] == "true"
