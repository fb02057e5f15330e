import Glibc
import Kernel

/// What POSIX added to tar: records `LENGTH NAME=VALUE\n` that overrule the next header.
///
/// See POSIX `pax`, "pax Extended Header". They carry what the fixed fields cannot:
/// long names, big numbers, parts of a second, extended attributes.
struct PaxRecords {
    private(set) var path: FileName?
    private(set) var linkTarget: FileName?
    private(set) var size: Int?
    private(set) var owner: Int?
    private(set) var group: Int?
    private(set) var modified: TarTime?
    private(set) var attributes: [ExtendedAttribute] = []
    private(set) var isSparse = false

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
                let name = FileName(record.name).shown
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
        let prefix = Array("SCHILY.xattr.".utf8)
        if name.starts(with: prefix) {
            let attribute = FileName(name.dropFirst(prefix.count))
            attributes.removeAll { $0.name == attribute }
            attributes.append(ExtendedAttribute(name: attribute, value: Array(value)))
            return !attribute.isEmpty && !attribute.contains(0)
        }
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
            size = PaxRecords.decimal(value)
            return isEmpty || size != nil
        case "uid":
            owner = PaxRecords.decimal(value)
            return isEmpty || owner != nil
        case "gid":
            group = PaxRecords.decimal(value)
            return isEmpty || group != nil
        case "mtime":
            modified = PaxRecords.time(value)
            return isEmpty || modified != nil
        case let other:
            if other.hasPrefix("GNU.sparse.") { isSparse = true }
            return true
        }
    }

    private static func decimal(_ digits: ArraySlice<UInt8>) -> Int? {
        guard !digits.isEmpty, digits.count < 19, digits.allSatisfy({ (48...57).contains($0) })
        else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1 - 48) }
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
