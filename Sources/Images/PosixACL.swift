import Kernel

/// An access control list, from the text in an archive to the form that the kernel takes.
///
/// See `acl(5)` for the text and the kernel's include/uapi/linux/posix_acl_xattr.h for the
/// attribute `system.posix_acl_access`.
struct PosixACL {
    private struct Entry {
        let tag: UInt16
        let permissions: UInt16
        let id: UInt32
    }

    private static let noID = UInt32.max
    private let entries: [Entry]

    /// Reads `user::rwx,user:1000:r-x,group::r-x,mask::rwx,other::---`.
    ///
    /// Names of users are those of the machine where the archive was made. So a name counts only
    /// with its number behind it, as star and bsdtar write it.
    /// - Returns: nil where the text makes no sense, or holds a name alone.
    init?(_ text: ArraySlice<UInt8>) {
        var entries: [Entry] = []
        let separators: [UInt8] = [UInt8(ascii: ","), UInt8(ascii: "\n")]
        for line in text.split(whereSeparator: { separators.contains($0) }) {
            let line = line.prefix { $0 != UInt8(ascii: "#") }.filter { $0 > 32 }
            if line.isEmpty { continue }
            guard let entry = PosixACL.entry(line) else { return nil }
            entries.append(entry)
            // The kernel keeps an attribute in one block.
            if entries.count > 500 { return nil }
        }
        // The kernel wants them in this order.
        self.entries = entries.sorted { ($0.tag, $0.id) < ($1.tag, $1.id) }
    }

    /// The attribute's value; nothing for an empty list.
    var attributeValue: [UInt8] {
        if entries.isEmpty { return [] }
        var bytes: [UInt8] = [2, 0, 0, 0]
        for entry in entries {
            bytes += [UInt8(entry.tag), 0, UInt8(entry.permissions), 0]
            bytes += (0..<4).map { UInt8(truncatingIfNeeded: entry.id >> (8 * $0)) }
        }
        return bytes
    }

    private static func entry(_ line: [UInt8]) -> Entry? {
        let parts = line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard (3...4).contains(parts.count), let permissions = permissions(parts[2]) else {
            return nil
        }
        let isNamed = !parts[1].isEmpty
        let tag: UInt16
        switch String(decoding: parts[0], as: UTF8.self) {
        case "user", "u": tag = isNamed ? 0x02 : 0x01
        case "group", "g": tag = isNamed ? 0x08 : 0x04
        case "mask", "m": tag = 0x10
        case "other", "o": tag = 0x20
        default: return nil
        }
        guard isNamed else { return Entry(tag: tag, permissions: permissions, id: noID) }
        guard tag == 0x02 || tag == 0x08, let id = decimal(parts.count == 4 ? parts[3] : parts[1]),
            let id = UInt32(exactly: id), id != noID
        else { return nil }
        return Entry(tag: tag, permissions: permissions, id: id)
    }

    private static func permissions(_ text: ArraySlice<UInt8>) -> UInt16? {
        var bits: UInt16 = 0
        for letter in text {
            switch letter {
            case UInt8(ascii: "r"): bits |= 4
            case UInt8(ascii: "w"): bits |= 2
            case UInt8(ascii: "x"): bits |= 1
            case UInt8(ascii: "-"): break
            default: return nil
            }
        }
        return bits
    }
}
