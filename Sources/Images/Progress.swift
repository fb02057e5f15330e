/// How far a long work is.
public struct Progress: Sendable {
    /// What is being done, such as `Packing`.
    public let step: String
    /// How many bytes are done.
    public let done: Int
    /// How many there are; nil where nobody can know.
    public let total: Int?
}

/// Hears how far a long work is; called some thousand times a second.
public typealias ProgressHandler = (Progress) -> Void
