import Kernel

/// What POSIX added to tar: records `LENGTH NAME=VALUE\n` that overrule the next header.
///
/// See POSIX `pax`, "pax Extended Header". They carry what the fixed fields cannot:
/// long names, big numbers, parts of a second, extended attributes, holes.
struct PaxRecords {
    /// As many bytes of attributes as a file may have here, and as many attributes. Linux
    /// itself stops at 64 KiB for a value.
    private static let attributeLimit = 1 << 20
    private static let attributeCountLimit = 1000
    private static let valueLimit = 64 << 10

    private(set) var path: FileName?
    private(set) var linkTarget: FileName?
    private(set) var size: Int?
    private(set) var owner: Int?
    private(set) var group: Int?
    private(set) var modified: TarTime?
    private(set) var attributes: [ExtendedAttribute] = []
    private(set) var sparse: SparseRecords?
    private var attributeBytes = 0
    /// Access control lists that make sense only where they were made. GNU tar may write them
    /// once more, as the attribute that the kernel has.
    private(set) var unreadableLists: [FileName] = []

    /// What GNU tar says about a sparse file.
    struct SparseRecords {
        /// The name, where the other one is made up for programs that do not know about holes.
        var name: FileName?
        var size: Int?
        /// Offsets and lengths by turns.
        var numbers: [Int] = []
        /// Format 1.0: the map stands before the content.
        var isMapInContent = false
    }

    /// No record.
    init() {}

    /// Adds the records in `bytes`; later ones overrule earlier ones.
    mutating func add(_ bytes: [UInt8], from archive: String) throws(KernelError) {
        var rest = bytes[...]
        while let first = rest.first, first != 0 {
            guard let record = PaxRecords.next(&rest) else {
                throw corrupt(archive, "An extended header is damaged.")
            }
            guard set(record.name, record.value) else {
                let name = FileName(record.name.prefix(80)).shown
                throw corrupt(archive, "An extended header has an absurd \(name).")
            }
        }
    }

    /// A name that GNU tar put before the entry, in its own kind of entry.
    mutating func setGNU(path: FileName) { self.path = path }
    /// A link target that GNU tar put before the entry.
    mutating func setGNU(linkTarget: FileName) { self.linkTarget = linkTarget }

    private static func next(
        _ rest: inout ArraySlice<UInt8>
    ) -> (name: ArraySlice<UInt8>, value: ArraySlice<UInt8>)? {
        let digits = rest.prefix { (48...57).contains($0) }
        guard let length = decimal(digits), length <= rest.count, length > digits.count + 2 else {
            return nil
        }
        let record = rest.prefix(length)
        guard record.last == UInt8(ascii: "\n"), record[digits.endIndex] == UInt8(ascii: " "),
            let equals = record.firstIndex(of: UInt8(ascii: "="))
        else { return nil }
        rest = rest.dropFirst(length)
        return (record[(digits.endIndex + 1)..<equals], record[(equals + 1)...].dropLast())
    }

    /// Whether the value makes sense. Names that nobody here knows are passed over.
    private mutating func set(_ name: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) -> Bool {
        if let attribute = name.after("SCHILY.xattr.") {
            return add(unescaped(attribute)[...], Array(value))
        }
        if let attribute = name.after("LIBARCHIVE.xattr.") {
            guard let name = percentDecoded(attribute), let value = base64Decoded(value) else {
                return false
            }
            return add(name[...], value)
        }
        if let which = name.after("SCHILY.acl.") { return addACL(which, value) }
        if let field = name.after("GNU.sparse.") { return setSparse(field, value) }
        // An empty value takes back an earlier one.
        let isEmpty = value.isEmpty
        switch String(decoding: name, as: UTF8.self) {
        case "path":
            path = isEmpty ? nil : Array(value)
            return !value.contains(0)
        case "linkpath":
            linkTarget = isEmpty ? nil : Array(value)
            return !value.contains(0)
        case "size":
            size = decimal(value)
            return isEmpty || size != nil
        case "uid":
            owner = decimal(value)
            return isEmpty || owner != nil
        case "gid":
            group = decimal(value)
            return isEmpty || group != nil
        case "mtime":
            modified = PaxRecords.time(value)
            return isEmpty || modified != nil
        default: return true
        }
    }

    private mutating func add(_ name: ArraySlice<UInt8>, _ value: [UInt8]) -> Bool {
        unreadableLists.removeAll { $0.elementsEqual(name) }
        attributes.removeAll { $0.name.elementsEqual(name) }
        attributes.append(ExtendedAttribute(name: FileName(name), value: value))
        attributeBytes += name.count + value.count
        return !name.isEmpty && !name.contains(0) && value.count <= PaxRecords.valueLimit
            && attributeBytes <= PaxRecords.attributeLimit
            && attributes.count <= PaxRecords.attributeCountLimit
    }

    private mutating func addACL(_ which: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
        guard ["access", "default"].contains(where: { which.elementsEqual($0.utf8) }) else {
            return true
        }
        let attribute = Array("system.posix_acl_".utf8) + which
        guard let list = PosixACL(text) else {
            unreadableLists = unreadableLists.filter { $0 != attribute } + [attribute]
            return true
        }
        let value = list.attributeValue
        return value.isEmpty || add(attribute[...], value)
    }

    private mutating func setSparse(_ field: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) -> Bool
    {
        var records = sparse ?? SparseRecords()
        defer { sparse = records }
        switch String(decoding: field, as: UTF8.self) {
        case "name":
            records.name = Array(value)
            return !value.contains(0)
        case "size", "realsize":
            records.size = decimal(value)
            return records.size != nil
        case "offset", "numbytes":
            guard let number = decimal(value) else { return false }
            records.numbers.append(number)
        case "map":
            records.numbers = []
            for digits in value.split(separator: UInt8(ascii: ",")) {
                guard let number = decimal(digits) else { return false }
                records.numbers.append(number)
            }
        case "major": records.isMapInContent = value.elementsEqual("1".utf8)
        default: break
        }
        return records.numbers.count <= 2 * SparseMap.extentLimit
    }

    /// `[-]SECONDS[.FRACTION]`
    private static func time(_ text: ArraySlice<UInt8>) -> TarTime? {
        let isNegative = text.first == UInt8(ascii: "-")
        let parts = text.dropFirst(isNegative ? 1 : 0).split(
            separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let whole = decimal(first) else { return nil }
        var nanoseconds = 0
        if parts.count == 2 {
            let digits = Array(parts[1].prefix(9))
            guard parts[1].allSatisfy({ (48...57).contains($0) }) else { return nil }
            let padded = digits + Array(repeating: 48, count: 9 - digits.count)
            nanoseconds = padded.reduce(0) { $0 * 10 + Int($1 - 48) }
        }
        if !isNegative { return TarTime(seconds: whole, nanoseconds: nanoseconds) }
        return nanoseconds == 0
            ? TarTime(seconds: -whole)
            : TarTime(seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanoseconds)
    }
}

/// A number of up to 18 digits, and nothing else.
func decimal(_ digits: ArraySlice<UInt8>) -> Int? {
    guard !digits.isEmpty, digits.count < 19, digits.allSatisfy({ (48...57).contains($0) })
    else { return nil }
    return digits.reduce(0) { $0 * 10 + Int($1 - 48) }
}

extension ArraySlice<UInt8> {
    /// What follows `prefix`; nil where something else comes first.
    fileprivate func after(_ prefix: StaticString) -> ArraySlice<UInt8>? {
        let count = prefix.utf8CodeUnitCount
        let start = UnsafeBufferPointer(start: prefix.utf8Start, count: count)
        return starts(with: start) ? dropFirst(count) : nil
    }
}

/// Without the `%25` and `%3D` that stand for % and = in an attribute's name.
private func unescaped(_ name: ArraySlice<UInt8>) -> FileName {
    guard name.contains(UInt8(ascii: "%")) else { return FileName(name) }
    var bytes: FileName = []
    var rest = name
    while let first = rest.first {
        let escape = rest.prefix(3)
        let isEscape = escape.elementsEqual("%25".utf8) || escape.elementsEqual("%3D".utf8)
        bytes.append(isEscape ? (escape.last == UInt8(ascii: "5") ? 0x25 : 0x3D) : first)
        rest = rest.dropFirst(isEscape ? 3 : 1)
    }
    return bytes
}

/// Without the `%XX` that libarchive writes for odd bytes of a name.
private func percentDecoded(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    var rest = text
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "%") else {
            bytes.append(byte)
            continue
        }
        guard rest.count >= 2,
            let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
        else { return nil }
        bytes.append(value)
        rest = rest.dropFirst(2)
    }
    return bytes
}

/// See RFC 4648, section 4. The padding may be missing, as it is in libarchive's.
private func base64Decoded(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    var bits = 0
    var count = 0
    for character in text.prefix(while: { $0 != UInt8(ascii: "=") }) {
        guard let value = base64Value(character) else { return nil }
        bits = (bits << 6 | value) & 0xFFF
        count += 6
        if count >= 8 {
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> count))
        }
    }
    return bytes
}

private func base64Value(_ character: UInt8) -> Int? {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): Int(character - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): Int(character - UInt8(ascii: "a")) + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(character - UInt8(ascii: "0")) + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
}
