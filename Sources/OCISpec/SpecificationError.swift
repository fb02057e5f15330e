/// Something that is not as its specification wants it: which thing, and what is wrong with it.
public struct SpecificationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was looked at: a JSON path such as `layers[0].digest`, or the text itself.
    public let subject: String
    /// What is wrong with it, without a full stop.
    public let problem: String

    /// An error in `subject`.
    public init(_ subject: String, _ problem: String) {
        self.subject = subject
        self.problem = problem
    }

    /// Both in one line.
    public var description: String { "\(subject): \(problem)" }
}
