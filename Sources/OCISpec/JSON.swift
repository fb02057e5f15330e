/// A JSON value that keeps its members in the order they came in.
///
/// The order matters because an image is named by the hash of its JSON: the same
/// value always has to become the same bytes.
public enum JSON: Equatable, Sendable {
    /// `null`
    case null
    /// `true` or `false`
    case bool(Bool)
    /// A number without a fraction.
    case integer(Int)
    /// A number with one.
    case real(Double)
    /// Text; never holds anything but valid Unicode.
    case string(String)
    /// Values in order.
    case array([JSON])
    /// Named values in order, each name once.
    case object([Member])

    /// A name and its value.
    public struct Member: Equatable, Sendable {
        /// The name, unique in its object.
        public var name: String
        /// What it stands for.
        public var value: JSON

        /// A member of an object.
        public init(_ name: String, _ value: JSON) {
            self.name = name
            self.value = value
        }
    }

    /// The member called `name`; nil where there is none, or where this is no object.
    public subscript(name: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        for member in members where member.name == name { return member.value }
        return nil
    }
}

extension JSON {
    /// The object of those members that have a value.
    public static func object(present members: [(String, JSON?)]) -> JSON {
        .object(members.compactMap { name, value in value.map { Member(name, $0) } })
    }

    /// An array of strings.
    public static func strings(_ strings: [String]) -> JSON { .array(strings.map(JSON.string)) }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// Text, written as text.
    public init(stringLiteral text: String) { self = .string(text) }
    /// A number, written as a number.
    public init(integerLiteral number: Int) { self = .integer(number) }
    /// A number with a fraction, written as one.
    public init(floatLiteral number: Double) { self = .real(number) }
    /// `true` or `false`, written as such.
    public init(booleanLiteral flag: Bool) { self = .bool(flag) }
    /// An array, written as one.
    public init(arrayLiteral values: JSON...) { self = .array(values) }
    /// An object, written as a dictionary whose names are all different.
    public init(dictionaryLiteral members: (String, JSON)...) {
        self = .object(members.map { Member($0.0, $0.1) })
    }
}
