import Glibc
import Kernel

/// What /etc/passwd and /etc/group of a root file system say about a user. See `passwd(5)`.
struct UserAccount: Equatable {
    let user: uid_t
    let group: gid_t
    let groups: [gid_t]
    let home: String

    init(user: uid_t, group: gid_t, groups: [gid_t], home: String) {
        self.user = user
        self.group = group
        self.groups = groups
        self.home = home
    }

    /// Looks up `USER` or `USER:GROUP` in the files of this process's root.
    ///
    /// Numbers need no entry: without one the group is 0 and home is /, as with Docker. A group
    /// that is named replaces those that /etc/group has the user in.
    /// - Throws: `ENOENT` for a name that the files do not have.
    init(_ request: String, additionalGroups: [String]) throws(KernelError) {
        let parts = split(request, at: ":")
        guard parts.count <= 2, !request.utf8.contains(0) else {
            throw KernelError(
                "user", request, .invalidArgument,
                remedy: "Write USER or USER:GROUP, each a name or a number.")
        }
        let name = parts[0].isEmpty ? "0" : parts[0]
        let entry = try Self.user(name)
        let table = try Self.table("/etc/group", fields: 4)
        let named = parts.count == 2 && !parts[1].isEmpty ? parts[1] : nil
        var groups: [gid_t] = []
        for word in additionalGroups { groups.append(try Self.group(word, in: table)) }
        if named == nil && !entry.name.isEmpty {
            for line in table where split(line[3], at: ",").contains(entry.name) {
                if let number = gid_t(line[2]) { groups.append(number) }
            }
        }
        user = entry.user
        group =
            try named.map { word throws(KernelError) in try Self.group(word, in: table) }
            ?? entry.group
        self.groups = groups
        home = entry.home
    }

    private static func user(
        _ word: String
    ) throws(KernelError) -> (name: String, user: uid_t, group: gid_t, home: String) {
        // Never both: a user whose name is another's number could be given that one's place
        // (CVE-2016-3697).
        let number = Self.number(word)
        for line in try table("/etc/passwd", fields: 7)
        where number == nil ? line[0] == word : uid_t(line[2]) == number {
            guard let user = uid_t(line[2]), let group = gid_t(line[3]) else { continue }
            return (line[0], user, group, line[5].isEmpty ? "/" : line[5])
        }
        guard let number else { throw missing("user", word, "/etc/passwd") }
        return ("", number, 0, "/")
    }

    private static func group(_ word: String, in table: [[String]]) throws(KernelError) -> gid_t {
        if let number = number(word) { return number }
        for line in table where line[0] == word { if let number = gid_t(line[2]) { return number } }
        throw missing("group", word, "/etc/group")
    }

    /// The largest number means "no change" to the kernel, so it is nobody's.
    private static func number(_ word: String) -> UInt32? {
        UInt32(word).flatMap { $0 < UInt32(Int32.max) ? $0 : nil }
    }

    private static func missing(_ kind: String, _ word: String, _ file: String) -> KernelError {
        KernelError(
            kind, word.isEmpty ? "\"\"" : word, .noSuchFile,
            remedy: "It is not in the image's \(file); a number needs no entry there.")
    }

    /// The lines of a file whose fields are separated by colons; none where there is no file, or
    /// where it is closed to root of the sandbox, as another user's is in a user namespace.
    ///
    /// The file is the image's and may be anything, so it is opened without waiting and read
    /// only up to a limit.
    private static func table(_ path: String, fields: Int) throws(KernelError) -> [[String]] {
        guard fileType(path) == .regular else { return [] }
        let file: Descriptor
        do { file = try Descriptor.open(path, O_RDONLY | O_NONBLOCK) } catch {
            guard error.errno == .accessDenied else { throw error }
            return []
        }
        let bytes: [UInt8]
        do { bytes = try file.readAll(limit: 8 << 20) } catch {
            throw error.renamed("read", path).advising("The image's own file cannot be read.")
        }
        return split(String(decoding: bytes, as: UTF8.self), at: "\n")
            .map { split($0, at: ":") }.filter { $0.count >= fields }
    }
}
