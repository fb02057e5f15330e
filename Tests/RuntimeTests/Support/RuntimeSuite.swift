import Foundation
import Testing

@testable import TestSupport

/// Everything that runs containers: one test at a time, each with a leak check round it.
@Suite(.serialized, .enabled(if: isRoot || isCI, "needs root"), RuntimeChecked())
struct RuntimeSuite {}

/// Fails a test for containers that it leaves, and for whatever else stays on the machine.
struct RuntimeChecked: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await LeakChecked().provideScope(for: test, testCase: testCase) {
            do { try await function() } catch {
                try removeContainers()
                throw error
            }
            for name in try removeContainers() {
                Issue.record("left in the state directory: \(name)")
            }
        }
    }

    /// Deletes every container of the test's, so that one test's leak is not the next one's.
    @discardableResult
    private func removeContainers() throws -> [String] {
        let root = try Runtime.root()
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        for name in names { _ = try? run(Runtime.command(["delete", "--force", "--", name])) }
        return names
    }
}
