import CJansson
import Glibc

extension JSON {
    /// The value as text: on one line, or indented by so many spaces.
    ///
    /// The same value always gives the same text. A number that JSON cannot write,
    /// such as infinity, becomes `null`; fractions are written to 15 digits.
    /// - Parameter sortedNames: whether members come in the order of their names
    ///   instead of their own.
    public func text(indent: Int = 0, sortedNames: Bool = false) -> String {
        let root = makeJansson()
        defer { json_decref(root) }
        let layout = indent > 0 ? min(indent, Int(JSON_MAX_INDENT)) : Int(JSON_COMPACT)
        let order = Int(sortedNames ? JSON_SORT_KEYS : JSON_PRESERVE_ORDER)
        guard let text = json_dumps(root, layout | order | Int(JSON_ENCODE_ANY) | precision) else {
            return "null"
        }
        defer { free(text) }
        return String(cString: text)
    }

    /// `JSON_REAL_PRECISION(15)`: so that 0.1 does not become 0.10000000000000001.
    private var precision: Int { 15 << 11 }

    private func makeJansson() -> UnsafeMutablePointer<json_t>? {
        switch self {
        case .null: return json_null()
        case .bool(let flag): return flag ? json_true() : json_false()
        case .integer(let number): return json_integer(json_int_t(number))
        case .real(let number): return json_real(number) ?? json_null()
        case .string(let text): return json_stringn(text, text.utf8.count)
        case .array(let elements):
            let array = json_array()
            for element in elements { json_array_append_new(array, element.makeJansson()) }
            return array
        case .object(let members):
            let object = json_object()
            for member in members {
                let value = member.value.makeJansson()
                json_object_setn_new(object, member.name, member.name.utf8.count, value)
            }
            return object
        }
    }
}
