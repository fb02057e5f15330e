import Foundation
import Testing

/// What a command left when it had ended.
struct Outcome: CustomStringConvertible {
    var command: [String]
    var code: Int32
    var output: Data
    var errors: String

    /// Standard output without the newlines at its end.
    var text: String {
        String(decoding: output, as: UTF8.self).trimmingCharacters(in: .newlines)
    }

    var description: String {
        "\(command.joined(separator: " ").prefix(1000)) → \(code)\n\(text.prefix(4000))\n"
            + errors.prefix(4000)
    }
}

/// A command that should have worked.
struct CommandFailure: Error, CustomStringConvertible {
    var description: String
}

/// Runs a command to its end, or kills it after `seconds`.
///
/// Its output goes to files: a daemon that it leaves behind cannot keep the tests waiting for the
/// end of a pipe.
/// - Parameter environment: all there is of it, but for PATH and LC_ALL.
func outcome(
    of command: [String], environment: [String: String] = [:], input: String = "/dev/null",
    seconds: Int = 60
) throws -> Outcome {
    let place = try Place()
    let output = try place.makeFile("output")
    let errors = try place.makeFile("errors")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
    process.arguments = ["--kill-after=5", String(seconds)] + command
    process.environment = baseEnvironment.merging(environment) { $1 }
    process.standardInput = FileHandle(forReadingAtPath: input)
    process.standardOutput = FileHandle(forWritingAtPath: output)
    process.standardError = FileHandle(forWritingAtPath: errors)
    try process.run()
    process.waitUntilExit()
    let wasKilled = process.terminationReason == .uncaughtSignal
    return Outcome(
        command: command,
        code: wasKilled ? -process.terminationStatus : process.terminationStatus,
        output: try Data(contentsOf: URL(fileURLWithPath: output)),
        errors: try String(contentsOfFile: errors, encoding: .utf8))
}

/// Runs a command that has to work and returns what it printed.
@discardableResult
func run(
    _ command: [String], environment: [String: String] = [:], input: String = "/dev/null",
    seconds: Int = 60
) throws -> String {
    let outcome = try outcome(
        of: command, environment: environment, input: input, seconds: seconds)
    guard outcome.code == 0 else { throw CommandFailure(description: "\(outcome)") }
    return outcome.text
}

/// Runs a bash script that has to work and returns what it printed.
@discardableResult
func shell(_ script: String, environment: [String: String] = [:]) throws -> String {
    try run(["/bin/bash", "-euo", "pipefail", "-c", script], environment: environment)
}

private let baseEnvironment = [
    "LC_ALL": "C", "PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
]

/// Waits until `condition` holds.
func waitUntil(
    _ what: @autoclosure () -> String, _ seconds: Double = 30, _ condition: () throws -> Bool
) throws {
    let deadline = Date(timeIntervalSinceNow: seconds)
    while try !condition() {
        if Date() > deadline {
            throw CommandFailure(description: "waited \(seconds) s for \(what())")
        }
        usleep(20_000)
    }
}
