/// Something in the book that is not true or cannot be read, and the line it stands in.
public struct Problem: Error, CustomStringConvertible {
    /// The file, from the top of the project.
    public let file: String
    /// The line, from 1; none where the whole file is meant.
    public let line: Int?
    /// What is wrong, in one sentence or with a diff below it.
    public let message: String

    init(_ file: String, _ line: Int? = nil, _ message: String) {
        self.file = file
        self.line = line
        self.message = message
    }

    /// `file:line: message`, which editors and terminals can jump to.
    public var description: String {
        let place = line.map { "\(file):\($0)" } ?? file
        return "\(place): \(message)"
    }
}
