import Glibc
import Kernel
import Terminal

/// Who a container is: its names, its shared memory, its ids and its clocks.
public struct ContainerIdentity: Sendable {
    private let hostName: String?
    private let hasHostNames: Bool
    private let hasHostIPC: Bool
    private let maps: IDMaps?
    private let timeOffset: String?

    /// The options that ``init(_:)`` understands.
    public static let options = [
        Option("hostname", nil, .required("NAME"), "The container's host name."),
        Option("uts", nil, .required("MODE"), "private, or host: the host's own name."),
        Option("ipc", nil, .required("MODE"), "private, or host: the host's shared memory."),
        Option(
            "userns", nil, .required("MODE"),
            "host, or auto: root inside is an ordinary user outside."),
        Option(
            "uid-map", nil, .required("IN:OUT:COUNT"),
            "Map COUNT users from IN on to those from OUT on; repeatable."),
        Option(
            "gid-map", nil, .required("IN:OUT:COUNT"),
            "The same for groups; the users' if not given."),
        Option(
            "time-offset", nil, .required("CLOCK=SECONDS"),
            "Set monotonic, boottime or both (with a comma) off the host's."),
    ]

    /// The identity that the options ask for.
    /// - Throws: `EINVAL` where they ask for none, `ENOENT` where there are no ids to give.
    public init(_ arguments: Arguments) throws(KernelError) {
        hostName = arguments.value("hostname")
        hasHostNames = try arguments.isHost("uts")
        hasHostIPC = try arguments.isHost("ipc")
        maps = try ContainerIdentity.maps(arguments)
        timeOffset = arguments.value("time-offset")
        if hasHostNames, let hostName {
            throw KernelError(
                "hostname", hostName, .invalidArgument,
                remedy: "With --uts host there is none of its own to set: leave one of them out.")
        }
    }

    /// Whether the container has ids of its own.
    public var hasUserNamespace: Bool { maps != nil }

    /// The host name, which is `name` where no other was asked for; nil for the host's own.
    public func hostName(or name: String) -> String? {
        hasHostNames ? nil : hostName ?? name
    }

    // book: begin identity-list
    /// What has to come first of all: what the other namespaces are to belong to.
    public var first: [any Mechanism] { maps.map { [UserNamespace($0)] } ?? [] }

    /// What comes when the file system is there.
    ///
    /// - Parameter name: the host name where none was asked for.
    public func mechanisms(named name: String) throws(KernelError) -> [any Mechanism] {
        var list: [any Mechanism] = []
        if let name = hostName(or: name) { list.append(try HostName(name)) }
        if !hasHostIPC { list.append(IPCNamespace()) }
        if let timeOffset { list.append(try TimeNamespace(parsing: timeOffset)) }
        list.append(SupplementaryGroups())
        return list
    }
    // book: end identity-list

    private static func maps(_ arguments: Arguments) throws(KernelError) -> IDMaps? {
        let users = try arguments.maps("uid-map")
        let groups = try arguments.maps("gid-map")
        if !users.isEmpty {
            if OrdinaryUser.isRootOfItsOwn {
                throw KernelError(
                    "uid-map", arguments.value("uid-map") ?? "", .notPermitted,
                    remedy: "Showing files with other owners takes the machine's root (sudo). An"
                        + " ordinary user's containers have the ids of /etc/subuid: leave it out.")
            }
            return try IDMaps(users: users, groups: groups.isEmpty ? users : groups)
        }
        if !groups.isEmpty {
            throw KernelError(
                "gid-map", arguments.value("gid-map") ?? "", .invalidArgument,
                remedy: "It needs a --uid-map beside it.")
        }
        switch arguments.value("userns") {
        case nil, "host": return nil
        case "auto": return try automatic()
        case let mode?:
            throw KernelError(
                "userns", mode.isEmpty ? "\"\"" : mode, .invalidArgument,
                remedy: "There are host and auto; --uid-map takes maps of your own.")
        }
    }

    /// Who may have ids set aside for containers that root starts.
    private static let owners = ["hull", "root", "containers"]

    private static func automatic() throws(KernelError) -> IDMaps? {
        // An ordinary user's container is in a user namespace anyway.
        if OrdinaryUser.isRootOfItsOwn { return nil }
        return try IDMaps(
            users: range(in: SubordinateIDs.users), groups: range(in: SubordinateIDs.groups))
    }

    private static func range(in file: String) throws(KernelError) -> [IDMap] {
        let ranges = SubordinateIDs.ranges(in: file, of: owners)
        if ranges.isEmpty {
            throw KernelError(
                "userns auto", file, .noSuchFile,
                remedy: "It has no ids for \(join(owners, with: ", ")): `echo"
                    + " hull:1000000:65536 | sudo tee -a \(file)`, or give --uid-map.")
        }
        return SubordinateIDs.map(ranges, from: 0)
    }
}

extension Arguments {
    fileprivate func isHost(_ option: String) throws(KernelError) -> Bool {
        switch value(option) {
        case nil, "private": return false
        case "host": return true
        case let mode?:
            throw KernelError(
                option, mode.isEmpty ? "\"\"" : mode, .invalidArgument,
                remedy: "There are private and host.")
        }
    }

    fileprivate func maps(_ option: String) throws(KernelError) -> [IDMap] {
        var maps: [IDMap] = []
        for text in values(option) { maps.append(try IDMap(parsing: text, option: option)) }
        return maps
    }
}
