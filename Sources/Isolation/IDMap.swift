import Kernel
import OCISpec

/// A line of a user namespace's map: which ids inside are which ids outside.
///
/// See `user_namespaces(7)`, "User and group ID mappings".
public struct IDMap: Equatable, Sendable {
    /// The first id inside.
    public let inside: UInt32
    /// The first id outside.
    public let outside: UInt32
    /// How many ids follow one another.
    public let count: UInt32

    /// `count` ids from `inside` on, which outside are those from `outside` on.
    public init(inside: UInt32, outside: UInt32, count: UInt32) {
        self.inside = inside
        self.outside = outside
        self.count = count
    }

    /// Reads `INSIDE:OUTSIDE:COUNT`.
    /// - Throws: `EINVAL` where it is not that, or leads past the last id.
    public init(parsing text: String, option: String) throws(KernelError) {
        let numbers = split(text, at: ":").compactMap { UInt32($0) }
        guard numbers.count == 3, numbers[2] > 0,
            // The very last number means "no id" to the kernel.
            UInt64(max(numbers[0], numbers[1])) + UInt64(numbers[2]) <= UInt64(UInt32.max)
        else {
            throw KernelError(
                option, text.isEmpty ? "\"\"" : text, .invalidArgument,
                remedy: "Write INSIDE:OUTSIDE:COUNT, such as 0:100000:65536.")
        }
        self.init(inside: numbers[0], outside: numbers[1], count: numbers[2])
    }

    /// As the kernel's files and newuidmap take it.
    var words: [String] { ["\(inside)", "\(outside)", "\(count)"] }

    func overlaps(_ other: IDMap) -> Bool {
        overlap(inside, other.inside, other) || overlap(outside, other.outside, other)
    }

    private func overlap(_ first: UInt32, _ second: UInt32, _ other: IDMap) -> Bool {
        UInt64(first) < UInt64(second) + UInt64(other.count)
            && UInt64(second) < UInt64(first) + UInt64(count)
    }
}

/// Both maps of a user namespace.
public struct IDMaps: Equatable, Sendable {
    /// Users.
    public let users: [IDMap]
    /// Groups.
    public let groups: [IDMap]

    /// What the kernel keeps for a map. See `user_namespaces(7)`.
    private static let limit = 340

    /// - Throws: `EINVAL` where ids would be mapped twice, or the namespace had no root.
    public init(users: [IDMap], groups: [IDMap]) throws(KernelError) {
        self.users = users
        self.groups = groups
        try IDMaps.check(users, "uid map")
        try IDMaps.check(groups, "gid map")
    }

    private static func check(_ maps: [IDMap], _ name: String) throws(KernelError) {
        let text = join(maps.map { join($0.words, with: ":") }, with: " ")
        func refuse(_ remedy: String) -> KernelError {
            KernelError(name, text, .invalidArgument, remedy: remedy)
        }
        guard maps.contains(where: { $0.inside == 0 }) else {
            throw refuse("It leaves out id 0, and the sandbox begins as its own root: map it.")
        }
        guard maps.count <= limit else { throw refuse("The kernel takes \(limit) lines.") }
        for (index, map) in maps.enumerated()
        where maps.dropFirst(index + 1).contains(where: map.overlaps) {
            throw refuse("Two of them overlap: an id has one meaning on either side.")
        }
    }
}

extension RuntimeIDMapping {
    /// The same as a line of a map.
    public var idMap: IDMap { IDMap(inside: containerID, outside: hostID, count: size) }
}
