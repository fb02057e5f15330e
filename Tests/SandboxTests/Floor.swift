import Foundation
import Testing

@testable import TestSupport

/// The C programs that labs/bench measures against.
enum Floor {
    /// Where their sources are.
    static let labs =
        URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path + "/labs"

    /// Compiles labs/floor*.c, once a test, and returns the program's path.
    static func build() throws -> String {
        let program = try place().directory + "/floor"
        if access(program, X_OK) == 0 { return program }
        let sources = try FileManager.default.contentsOfDirectory(atPath: labs)
            .filter { $0.hasPrefix("floor") && $0.hasSuffix(".c") }
        let compiled = try run(
            ["cc", "-O2", "-static", "-o", program] + sources.map { labs + "/" + $0 }, seconds: 60)
        try #require(compiled.code == 0, "\(compiled)")
        return program
    }
}
