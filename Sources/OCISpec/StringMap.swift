/// Text by name: labels and annotations. Kept sorted, so that it is always written the same way.
///
/// A `Dictionary` would do, at a price: at its first use the runtime searches the whole program
/// for how `String` is hashed, which takes a tenth of a millisecond of every `hull run`.
public struct StringMap: Equatable, Sendable, ExpressibleByDictionaryLiteral {
    /// A name and what it stands for.
    public struct Entry: Equatable, Sendable {
        /// The name, unique in its map.
        public let name: String
        /// What it stands for.
        public let value: String
    }

    /// All entries, sorted by name.
    public private(set) var entries: [Entry] = []

    /// Nothing in it.
    public init() {}

    /// These entries; of several with one name, the last counts.
    public init(dictionaryLiteral entries: (String, String)...) {
        for (name, value) in entries { self[name] = value }
    }

    /// These entries, whose names are all different.
    init(unique entries: [Entry]) { self.entries = entries.sorted { $0.name < $1.name } }

    /// What `name` stands for; nil where it is not in the map.
    public subscript(name: String) -> String? {
        get { entries.first { $0.name == name }?.value }
        set {
            entries.removeAll { $0.name == name }
            guard let newValue else { return }
            let position = entries.firstIndex { $0.name > name } ?? entries.endIndex
            entries.insert(Entry(name: name, value: newValue), at: position)
        }
    }

    /// The map as a JSON object; nil where it is empty.
    public var json: JSON? {
        if entries.isEmpty { return nil }
        return .object(entries.map { JSON.Member($0.name, .string($0.value)) })
    }
}
