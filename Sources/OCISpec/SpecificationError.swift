/// Something that is not as its specification wants it: which thing, and what is wrong with it.
public struct SpecificationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was looked at: a JSON path such as `layers[0].digest`, or the text itself.
    public let subject: String
    /// What is wrong with it, without a full stop.
    public let problem: String

    /// An error in `subject`.
    ///
    /// Both are cut where they are long: much of them may come from whoever sent the text.
    public init(_ subject: String, _ problem: String) {
        self.subject = shortened(subject)
        self.problem = shortened(problem)
    }

    /// Both in one line.
    public var description: String { "\(subject): \(problem)" }
}

private func shortened(_ text: String) -> String {
    text.utf8.count <= 300 ? text : text.prefix(250) + "…"
}
