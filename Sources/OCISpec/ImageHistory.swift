/// How a layer came to be. See image-spec, config.md, "history".
public struct ImageHistory: Equatable, Sendable {
    /// When.
    public var created: Timestamp?
    /// By which command.
    public var createdBy: String?
    /// Whatever its maker wanted to say.
    public var comment: String?
    /// Who made it.
    public var author: String?
    /// Whether no layer belongs to it.
    public var isEmptyLayer: Bool

    /// An entry.
    public init(
        created: Timestamp?, createdBy: String?, comment: String? = nil,
        author: String? = nil, isEmptyLayer: Bool = false
    ) {
        self.created = created
        self.createdBy = createdBy
        self.comment = comment
        self.author = author
        self.isEmptyLayer = isEmptyLayer
    }

    /// Reads an entry.
    public init(_ json: JSONReader) throws(SpecificationError) {
        let json = try json.object()
        created = try Timestamp(json["created"])
        createdBy = try json["created_by"].optionalString()
        comment = try json["comment"].optionalString()
        author = try json["author"].optionalString()
        isEmptyLayer = try json["empty_layer"].present?.bool() ?? false
    }

    /// The entry as its specification writes it.
    public var json: JSON {
        .object(present: [
            ("created", created.map { .string($0.description) }),
            ("created_by", createdBy.map(JSON.string)), ("comment", comment.map(JSON.string)),
            ("author", author.map(JSON.string)), ("empty_layer", isEmptyLayer ? true : nil),
        ])
    }
}
