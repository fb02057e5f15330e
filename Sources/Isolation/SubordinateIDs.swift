import Glibc
import Kernel

/// The ids that the administrator has set aside for a user's containers.
///
/// Lines of `USER:FIRST:COUNT`, with the user's name or number. See `subuid(5)`.
public struct SubordinateIDs {
    /// Where users' ids are.
    static let users = "/etc/subuid"
    /// Where groups' ids are.
    static let groups = "/etc/subgid"

    /// The ranges of the first of `names` that has any; none where there is no such file.
    static func ranges(in file: String, of names: [String]) -> [(first: UInt32, count: UInt32)] {
        let text: String
        do { text = try readText(file) } catch { return [] }
        let lines = split(text, at: "\n").map { split($0, at: ":") }.filter { $0.count == 3 }
        for name in names {
            let own: [(UInt32, UInt32)] = lines.compactMap { line in
                guard line[0] == name, let first = UInt32(line[1]), let count = UInt32(line[2]),
                    count > 0, first > 0
                else { return nil }
                return (first, count)
            }
            if !own.isEmpty { return own }
        }
        return []
    }

    /// A map that begins with the ids inside from `inside` on and goes through all of `ranges`.
    static func map(
        _ ranges: [(first: UInt32, count: UInt32)], from inside: UInt32
    ) -> [IDMap] {
        var next = inside
        var maps: [IDMap] = []
        for range in ranges {
            // An administrator may have given all there are; leave room for what is inside.
            let count = min(range.count, UInt32.max - next)
            if count == 0 { break }
            maps.append(IDMap(inside: next, outside: range.first, count: count))
            next += count
        }
        return maps
    }

    /// The name that /etc/passwd has for a user; nil where it has none.
    ///
    /// From the file itself: the C library's lookup loads modules, which a static program cannot.
    public static func userName(_ user: uid_t) -> String? {
        let text: String
        do { text = try readText("/etc/passwd") } catch { return nil }
        for line in split(text, at: "\n") {
            let fields = split(line, at: ":")
            if fields.count > 2, fields[2] == "\(user)" { return fields[0] }
        }
        return nil
    }
}
