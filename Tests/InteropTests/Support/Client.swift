/// A program that a test speaks to by its command line, over and over: `docker` with its socket,
/// `podman` with its storage, `hull` with its state directory.
protocol Client {
    /// The words before those of each call.
    var client: [String] { get }
    /// All there is of its environment, but for PATH and LC_ALL.
    var environment: [String: String] { get }
}

extension Client {
    var environment: [String: String] { [:] }

    /// Calls it, which has to work, and returns what it printed.
    @discardableResult
    func callAsFunction(_ words: String..., input: String = "/dev/null") throws -> String {
        try run(words, input: input)
    }

    /// The same with words that come together.
    @discardableResult
    func run(_ words: [String], input: String = "/dev/null") throws -> String {
        try InteropTests.run(client + words, environment: environment, input: input)
    }

    /// What a call left, if it failed too.
    func outcome(of words: String..., input: String = "/dev/null") throws -> Outcome {
        try InteropTests.outcome(of: client + words, environment: environment, input: input)
    }
}
