import CJansson

extension JSON {
    /// How deep objects and arrays may lie in each other.
    ///
    /// Jansson allows 2048; whoever walks the value later recurses, and nothing in
    /// the specifications is deeper than ten.
    public static let maximumDepth = 128

    /// Reads a whole JSON text with jansson.
    ///
    /// A name that comes twice in an object is an error: two readers that disagree
    /// about which one counts is how a check gets circumvented. So are a NUL in a
    /// string and bytes that are not UTF-8.
    /// - Parameters:
    ///   - subject: what an error calls the text, such as the name of its file.
    ///   - limit: how many bytes the text may have.
    /// - Throws: what is wrong, with line and column.
    public static func parse(
        _ bytes: some Collection<UInt8>, from subject: String = "JSON", limit: Int = 16 << 20
    ) throws(SpecificationError) -> JSON {
        let bytes = ContiguousArray(bytes)
        guard bytes.count <= limit else {
            throw SpecificationError(subject, "\(bytes.count) bytes, more than \(limit)")
        }
        var error = json_error_t()
        let flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY
        let root = bytes.withUnsafeBytes { buffer in
            json_loadb(
                buffer.baseAddress?.assumingMemoryBound(to: CChar.self), buffer.count,
                Int(flags), &error)
        }
        guard let root else {
            throw SpecificationError(
                subject, "line \(error.line), column \(error.column): \(error.message)")
        }
        defer { json_decref(root) }
        return try JSON(root, depth: 0, subject)
    }

    /// Reads a whole JSON text.
    public static func parse(
        _ text: String, from subject: String = "JSON"
    ) throws(SpecificationError) -> JSON { try parse(text.utf8, from: subject) }

    private init(
        _ value: UnsafeMutablePointer<json_t>, depth: Int, _ subject: String
    ) throws(SpecificationError) {
        guard depth < JSON.maximumDepth else {
            throw SpecificationError(subject, "nested more than \(JSON.maximumDepth) deep")
        }
        switch value.pointee.type {
        case JSON_OBJECT: self = .object(try JSON.members(of: value, depth: depth, subject))
        case JSON_ARRAY: self = .array(try JSON.elements(of: value, depth: depth, subject))
        case JSON_STRING:
            self = .string(JSON.text(json_string_value(value), json_string_length(value)))
        case JSON_INTEGER: self = .integer(Int(json_integer_value(value)))
        case JSON_REAL: self = .real(json_real_value(value))
        case JSON_TRUE: self = .bool(true)
        case JSON_FALSE: self = .bool(false)
        default: self = .null
        }
    }

    private static func members(
        of object: UnsafeMutablePointer<json_t>, depth: Int, _ subject: String
    ) throws(SpecificationError) -> [Member] {
        var members: [Member] = []
        members.reserveCapacity(json_object_size(object))
        var next = json_object_iter(object)
        while let position = next {
            let name = text(json_object_iter_key(position), json_object_iter_key_len(position))
            if let value = json_object_iter_value(position) {
                members.append(Member(name, try JSON(value, depth: depth + 1, subject)))
            }
            next = json_object_iter_next(object, position)
        }
        return members
    }

    private static func elements(
        of array: UnsafeMutablePointer<json_t>, depth: Int, _ subject: String
    ) throws(SpecificationError) -> [JSON] {
        var elements: [JSON] = []
        for index in 0..<json_array_size(array) {
            guard let value = json_array_get(array, index) else { continue }
            elements.append(try JSON(value, depth: depth + 1, subject))
        }
        return elements
    }

    private static func text(_ start: UnsafePointer<CChar>?, _ count: Int) -> String {
        let bytes = UnsafeRawBufferPointer(start: start, count: count)
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension json_error_t {
    fileprivate var message: String {
        withUnsafeBytes(of: text) { bytes in
            // The last byte is jansson's error code, not text.
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
