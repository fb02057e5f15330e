/// A place in a JSON value that knows its own path, so that an error can name it.
///
/// `null` counts as absent, as it does for every program that writes these files.
public struct JSONReader: Sendable {
    private let value: JSON?
    private let place: Place

    /// Where a value is. It is spelled out for errors only: most values are as they should be.
    private indirect enum Place: Sendable {
        case top(String)
        case member(of: Place, String)
        case element(of: Place, Int)

        var path: String {
            switch self {
            case .top(let name): return name
            case .element(let whole, let index): return "\(whole.path)[\(index)]"
            case .member(let whole, let name):
                let path = whole.path
                return path.isEmpty ? name : "\(path).\(name)"
            }
        }
    }

    /// The top of `value`; errors call it `name`.
    public init(_ value: JSON, _ name: String = "") {
        self.value = value
        place = .top(name)
    }

    private init(at place: Place, _ value: JSON?) {
        if case .null? = value { self.value = nil } else { self.value = value }
        self.place = place
    }

    /// The member called `name`, which may be absent.
    public subscript(name: String) -> JSONReader {
        JSONReader(at: .member(of: place, name), value?[name])
    }

    /// This place, or nil where there is nothing.
    public var present: JSONReader? { value == nil ? nil : self }

    /// An error about this place.
    public func error(_ problem: String) -> SpecificationError {
        let path = place.path
        return SpecificationError(path.isEmpty ? "the top" : path, problem)
    }

    private func mismatch(_ wanted: String) -> SpecificationError {
        guard let value else { return error("missing; \(wanted) should be there") }
        return error("\(wanted) should be there, not \(value.kind)")
    }

    /// This place, where it holds an object.
    public func object() throws(SpecificationError) -> JSONReader {
        guard case .object? = value else { throw mismatch("an object") }
        return self
    }

    /// The text here.
    public func string() throws(SpecificationError) -> String {
        guard case .string(let text)? = value else { throw mismatch("a string") }
        return text
    }

    /// The whole number here.
    public func integer() throws(SpecificationError) -> Int {
        guard case .integer(let number)? = value else { throw mismatch("a whole number") }
        return number
    }

    /// The truth value here.
    public func bool() throws(SpecificationError) -> Bool {
        guard case .bool(let flag)? = value else { throw mismatch("true or false") }
        return flag
    }

    /// The digest here.
    public func digest() throws(SpecificationError) -> Digest {
        do { return try Digest(try string()) } catch { throw self.error(error.problem) }
    }

    /// The array's elements, each knowing its index.
    public func array() throws(SpecificationError) -> [JSONReader] {
        guard case .array(let elements)? = value else { throw mismatch("an array") }
        var readers: [JSONReader] = []
        readers.reserveCapacity(elements.count)
        for element in elements {
            readers.append(JSONReader(at: .element(of: place, readers.count), element))
        }
        return readers
    }

    /// The array's elements, all of them text.
    public func strings() throws(SpecificationError) -> [String] {
        var strings: [String] = []
        for element in try array() { strings.append(try element.string()) }
        return strings
    }

    /// The object's members, all of them text; empty where it is absent.
    public func stringMap() throws(SpecificationError) -> StringMap {
        var entries: [StringMap.Entry] = []
        // Not by name: who sends a hundred thousand would have each looked for among all.
        for member in try members() {
            let value = try JSONReader(at: .member(of: place, member.name), member.value).string()
            entries.append(StringMap.Entry(name: member.name, value: value))
        }
        return StringMap(unique: entries)
    }

    /// The names of the object's members, in order; empty where it is absent.
    public func names() throws(SpecificationError) -> [String] { try members().map(\.name) }

    private func members() throws(SpecificationError) -> [JSON.Member] {
        switch value {
        case nil: return []
        case .object(let members)?: return members
        default: throw mismatch("an object")
        }
    }

    /// The text here, or nil where there is nothing.
    public func optionalString() throws(SpecificationError) -> String? { try present?.string() }

    /// The text here; nil where there is none, or an empty one.
    func nonEmpty() throws(SpecificationError) -> String? {
        let text = try optionalString()
        return text == "" ? nil : text
    }

    /// The value here, whatever it is.
    var json: JSON? { value }

    /// The strings here, or nil where there is nothing.
    public func optionalStrings() throws(SpecificationError) -> [String]? { try present?.strings() }
}

extension JSON {
    fileprivate var kind: String {
        switch self {
        case .null: "null"
        case .bool: "true or false"
        case .integer, .real: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}
