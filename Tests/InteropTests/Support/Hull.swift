import Foundation

/// Hull's programs with a state directory of a test's own.
final class Hull: Sendable {
    let place: Place
    var state: String { place / "state" }

    init() throws { place = try Place("hull") }

    /// Where the programs are: beside the test bundle.
    static let products: String = {
        let test = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return ((test ?? CommandLine.arguments[0]) as NSString).deletingLastPathComponent
    }()

    /// Runs `hull WORDS…` and returns what it printed.
    @discardableResult
    func callAsFunction(_ words: String..., input: String = "/dev/null") throws -> String {
        try InteropTests.run(
            [Hull.products + "/hull"] + words, environment: environment, input: input)
    }

    /// What `hull WORDS…` left, if it failed too.
    func outcome(of words: String..., input: String = "/dev/null") throws -> Outcome {
        try InteropTests.outcome(
            of: [Hull.products + "/hull"] + words, environment: environment, input: input)
    }

    /// Runs another of the programs, such as `stage09-registry`.
    @discardableResult
    func program(_ name: String, _ words: String...) throws -> String {
        try InteropTests.run(["\(Hull.products)/\(name)"] + words, environment: environment)
    }

    private var environment: [String: String] {
        ["HULL_ROOT": state, "HOME": place.path, "TMPDIR": place.path]
    }
}
