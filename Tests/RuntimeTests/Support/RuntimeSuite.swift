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
            // What the others leave where they fail is no failure of these tests.
            if Runtime.current != .hull { removeGroups() }
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

    private func removeGroups() {
        let mounts = (try? Mount.list(of: "self").filter { $0.type.hasPrefix("cgroup") }) ?? []
        for mount in mounts {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: mount.target)) ?? []
            for name in names where "/\(name)".hasPrefix(Container.cgroupPrefix) {
                removeGroup("\(mount.target)/\(name)")
            }
        }
    }

    private func removeGroup(_ directory: String) {
        let members = (try? Observed.read(directory + "/cgroup.procs")) ?? ""
        for process in members.split(separator: "\n").compactMap({ pid_t($0) }) where process > 0 {
            kill(process, SIGKILL)
        }
        for _ in 0..<100 where rmdir(directory) != 0 && errno == EBUSY { usleep(5000) }
    }
}
