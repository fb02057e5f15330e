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
        guard let root = load(bytes, &error) ?? loadLarge(bytes, &error) else {
            throw SpecificationError(
                subject, "line \(error.line), column \(error.column): \(error.message)")
        }
        defer { json_decref(root) }
        return try JSON(root, depth: 0, subject)
    }

    private static func load(
        _ bytes: ContiguousArray<UInt8>, _ error: inout json_error_t
    ) -> UnsafeMutablePointer<json_t>? {
        let flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY
        return bytes.withUnsafeBytes { buffer in
            json_loadb(
                buffer.baseAddress?.assumingMemoryBound(to: CChar.self), buffer.count,
                Int(flags), &error)
        }
    }

    /// The same where jansson has found a number that is too large for it, and all of those are
    /// numbers of 64 bits without a sign, as limits and arguments of system calls are: they
    /// become the numbers with a sign that have the same bits. No limit at all, 2^64-1, is -1.
    private static func loadLarge(
        _ bytes: ContiguousArray<UInt8>, _ error: inout json_error_t
    ) -> UnsafeMutablePointer<json_t>? {
        guard json_error_code(&error) == json_error_numeric_overflow else { return nil }
        var result = ContiguousArray<UInt8>()
        var digits = ContiguousArray<UInt8>()
        var isInString = false
        var isEscaped = false
        for byte in bytes + [UInt8(ascii: " ")] {
            if !isInString, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
                digits.append(byte)
                continue
            }
            // A number with a sign, a fraction or an exponent is another kind.
            let before = result.last ?? 0
            let isWhole = !".eE".utf8.contains(byte) && !"-+.eE".utf8.contains(before)
            let text = String(decoding: digits, as: UTF8.self)
            if isWhole, let number = UInt64(text), number > UInt64(Int64.max) {
                result += "\(Int64(bitPattern: number))".utf8
            } else {
                result += digits
            }
            digits.removeAll()
            result.append(byte)
            if byte == UInt8(ascii: "\""), !isEscaped { isInString.toggle() }
            isEscaped = isInString && !isEscaped && byte == UInt8(ascii: "\\")
        }
        return load(result, &error)
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
