import Foundation
import Testing

/// How an attack by hull-probe ended.
enum Verdict: Equatable, CustomStringConvertible {
    case gotThrough(String)
    case stopped(String)

    var description: String {
        switch self {
        case .gotThrough(let line), .stopped(let line): line
        }
    }

    var gotThrough: Bool {
        if case .gotThrough = self { return true }
        return false
    }

    var isStopped: Bool { !gotThrough }

    /// - Throws: where the attack could not be tried, which proves nothing either way.
    init(_ outcome: Outcome) throws {
        switch outcome.ending {
        case .exited(0): self = .gotThrough(outcome.line)
        case .exited(1): self = .stopped(outcome.line)
        default: throw ProgramFailure(description: "the attack was not tried: \(outcome)")
        }
    }
}

/// Runs an attack inside a sandbox.
func attack(
    in runner: Runner, _ rootfs: String, options: [String] = [], _ words: String...
) throws -> Verdict {
    try Verdict(run(runner.command(options, rootfs: rootfs, ["/bin/hull-probe"] + words)))
}

/// Runs an attack on the host, where nothing stops it.
func attackUnconfined(_ words: String...) throws -> Verdict {
    try Verdict(run([Products.probe] + words))
}

/// Runs a shell script in a sandbox.
func shell(
    in runner: Runner, _ rootfs: String, options: [String] = [], _ script: String,
    environment: [String: String] = [:], input: Input = .null
) throws -> Outcome {
    try run(
        runner.command(options, rootfs: rootfs, ["/bin/sh", "-c", script]),
        environment: environment, input: input)
}
