import Glibc
import Kernel

/// Which networks there are on this host, and who has which address.
///
///     /run/hull/networks/4026531840/   of this network namespace: locked by whoever changes it
///       bridge/                        the network "bridge"
///         settings                     its number and its subnet
///         2                            address number 2: locked by its owner for life
///
/// As with ``OwnedDirectory``, a file that nobody has locked belonged to a process that was
/// killed, and the next that comes takes away what it stood for. HULL_ROOT moves none of this:
/// links and rules are the host's, whoever makes them.
struct NetworkRegistry: ~Copyable {
    private let lock: Descriptor
    /// The directory of this host's network namespace.
    private let top: String

    /// Waits for its turn, then takes away what killed owners have left.
    static func open() throws(KernelError) -> NetworkRegistry {
        let top = try place()
        while true {
            try makeDirectories(top, mode: 0o711, why: "who has which address")
            // Whoever had the lock before may have removed the directory with its last network.
            guard let lock = try lockDirectory(top) else { continue }
            let registry = NetworkRegistry(lock: lock, top: top)
            try registry.sweep()
            return registry
        }
    }

    /// Whether there are any networks of this network namespace's.
    static func isThere() throws(KernelError) -> Bool { fileType(try place()) != nil }

    /// Each network namespace has its own links and rules, so it has its own directory.
    private static func place() throws(KernelError) -> String {
        var status = stat()
        guard stat("/proc/self/ns/net", &status) == 0 else {
            throw KernelError("stat", "/proc/self/ns/net", .current)
        }
        return "/run/hull/networks/\(status.st_ino)"
    }

    private init(lock: consuming Descriptor, top: String) {
        self.lock = lock
        self.top = top
    }

    private static func lockDirectory(_ path: String) throws(KernelError) -> Descriptor? {
        let directory: Descriptor
        do { directory = try Descriptor.open(path, O_RDONLY | O_DIRECTORY) } catch {
            if error.errno == .noSuchFile { return nil }
            throw error
        }
        while flock(directory.number, LOCK_EX) < 0 {
            let errno = Errno.current
            if errno != .interrupted { throw KernelError("flock", path, errno) }
        }
        var status = stat()
        guard fstat(directory.number, &status) == 0 else {
            throw KernelError("fstat", path, .current)
        }
        if status.st_nlink == 0 { return nil }
        return directory
    }

    /// For a program that has to be done before anyone else has a turn.
    var descriptor: CInt { lock.number }

    /// The network `name`, made now where it isn't there.
    ///
    /// - Parameter subnet: which addresses it is to have; nil for any.
    /// - Throws: `EINVAL` where it has others, `EADDRINUSE` where those are somebody else's.
    func network(_ name: String, subnet: IPSubnet?) throws(KernelError) -> NetworkSettings {
        if fileType(directory(name)) == nil { return try add(name, subnet) }
        let settings = try read(name)
        if let subnet, subnet != settings.subnet {
            throw KernelError(
                "network \(name) with subnet", "\(subnet)", .invalidArgument,
                remedy: "It is in use with \(settings.subnet); choose another name.")
        }
        return settings
    }

    // book: begin lease
    /// An address that nobody has, the lowest, unless a certain one is asked for.
    ///
    /// - Throws: `EADDRINUSE` where that one is taken, `EADDRNOTAVAIL` where all are.
    func lease(
        _ wanted: IPAddress?, in network: NetworkSettings
    ) throws(KernelError) -> AddressLease {
        let directory = directory(network.name)
        if let wanted {
            let number = try number(of: wanted, in: network)
            guard let lease = try AddressLease.take(number, in: directory) else {
                throw KernelError(
                    "address", "\(wanted)", Errno(rawValue: EADDRINUSE),
                    remedy: "A running container has it; choose another.")
            }
            return lease
        }
        for number in network.pool {
            if let lease = try AddressLease.take(number, in: directory) { return lease }
        }
        throw KernelError(
            "network \(network.name)", "\(network.subnet)", Errno(rawValue: EADDRNOTAVAIL),
            remedy: "All \(network.pool.count) addresses are in use; end a container, or use"
                + " another network with a larger --subnet.")
    }
    // book: end lease

    /// Gives back an address, and with the last one the whole network.
    func end(_ lease: consuming AddressLease) throws(KernelError) {
        lease.remove()
        // Unlocked now: like one whose owner was killed.
        _ = consume lease
        try sweep()
        if try namesInDirectory(top).isEmpty {
            try removeTree(top, why: "there are no networks any more")
        }
    }

    // book: begin network-sweep
    /// Takes away the published ports of killed owners, and networks that nobody uses.
    private func sweep() throws(KernelError) {
        for entry in try namesInDirectory(top) {
            let network = try read(entry)
            var isUsed = false
            var stale: [String] = []
            for name in try namesInDirectory("\(top)/\(entry)") where Int(name) != nil {
                let ports = AddressLease.takeAbandoned("\(top)/\(entry)/\(name)")
                if let ports { stale += ports } else { isUsed = true }
            }
            if isUsed {
                try NetworkRules(network).withdraw(stale, keeping: lock.number)
            } else {
                try remove(network)
            }
        }
    }
    // book: end network-sweep

    private func directory(_ name: String) -> String { "\(top)/\(name)" }

    private func add(_ name: String, _ subnet: IPSubnet?) throws(KernelError) -> NetworkSettings {
        let settings = try choose(name, subnet)
        if if_nametoindex(settings.link) != 0 {
            throw KernelError(
                "add bridge", settings.link, .fileExists,
                remedy: "A link of that name is there and is not ours: `ip link delete"
                    + " \(settings.link)`, or choose another network.")
        }
        try makeDirectory(directory(name), mode: 0o711, why: "who has which address")
        let text = "\(settings.number) \(settings.subnet)"
        try replaceFile(directory(name) + "/settings", with: text.utf8, durable: false)
        return settings
    }

    /// The first number that is free, and whose subnet is no one's.
    private func choose(
        _ name: String, _ subnet: IPSubnet?
    ) throws(KernelError) -> NetworkSettings {
        let routes = routedSubnets()
        var taken: [Int] = []
        for entry in try namesInDirectory(top) { taken.append(try read(entry).number) }
        var collision: (subnet: IPSubnet, link: String)?
        for number in name == NetworkSettings.usual ? 0...0 : 1...255
        where !taken.contains(number) {
            guard let settings = NetworkSettings(name, number: number, subnet: subnet) else {
                break
            }
            collision = routes.first { $0.subnet.overlaps(settings.subnet) }
            if collision == nil { return settings }
        }
        throw KernelError(
            "network \(name)", subnet.map { "\($0)" } ?? "", Errno(rawValue: EADDRINUSE),
            remedy:
                "This host has a route to \(collision.map { "\($0.subnet) on \($0.link)" } ?? "")"
                + " already; choose another --subnet.")
    }

    private func read(_ name: String) throws(KernelError) -> NetworkSettings {
        try Self.settings(directory(name) + "/settings", of: name)
    }

    private static func settings(
        _ path: String, of name: String
    ) throws(KernelError) -> NetworkSettings {
        // Whoever was killed before it was written has made nothing else either.
        guard fileType(path) != nil else { return try NetworkSettings.unknown(name) }
        let words = split(try readText(path), at: " ")
        guard words.count == 2, let number = Int(words[0]), let subnet = IPSubnet(words[1]),
            let settings = NetworkSettings(name, number: number, subnet: subnet)
        else {
            throw KernelError("read", path, .invalidArgument, remedy: "It is damaged; remove it.")
        }
        return settings
    }

    private func number(
        of address: IPAddress, in network: NetworkSettings
    ) throws(KernelError) -> Int {
        guard let number = network.subnet.number(of: address), network.pool.contains(number) else {
            throw KernelError(
                "address", "\(address)", .invalidArgument,
                remedy: "Network \(network.name) has"
                    + " \(network.subnet.address(network.pool.lowerBound)) to"
                    + " \(network.subnet.address(network.pool.upperBound - 1)).")
        }
        return number
    }

    private func remove(_ network: NetworkSettings) throws(KernelError) {
        if if_nametoindex(network.link) != 0 {
            try NetlinkSocket().send(
                [.removeLink(network.link)], why: "nobody is on this bridge any more")
            try NetworkRules(network).remove(keeping: lock.number)
        }
        try removeTree(directory(network.name), why: "the network has gone")
    }
}

extension NetworkSettings {
    fileprivate static func unknown(_ name: String) throws(KernelError) -> NetworkSettings {
        guard let settings = NetworkSettings(name, number: 0) else {
            throw KernelError("network", name, .invalidArgument)
        }
        return settings
    }
}

/// An address that is taken: a file with a lock on it.
struct AddressLease: ~Copyable {
    /// Which of the subnet's addresses.
    let number: Int
    private let path: String
    private let file: Descriptor

    /// - Returns: nil where it is taken.
    fileprivate static func take(
        _ number: Int, in directory: String
    ) throws(KernelError) -> AddressLease? {
        let path = "\(directory)/\(number)"
        // One that is there has an owner: those without have just been swept.
        if access(path, F_OK) == 0 { return nil }
        let file = try Descriptor.open(path, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        guard flock(file.number, LOCK_EX | LOCK_NB) == 0 else {
            throw KernelError("flock", path, .current)
        }
        return AddressLease(number: number, path: path, file: file)
    }

    private init(number: Int, path: String, file: consuming Descriptor) {
        self.number = number
        self.path = path
        self.file = file
    }

    /// Notes what has to be taken away where the owner can't.
    borrowing func note(_ lines: [String]) throws(KernelError) {
        try file.write(join(lines, with: "\n"))
    }

    fileprivate borrowing func remove() { unlink(path) }

    /// Removes a lease without an owner.
    ///
    /// - Returns: what was noted in it; nil where it has an owner.
    fileprivate static func takeAbandoned(_ path: String) -> [String]? {
        do {
            let file = try Descriptor.open(path, O_RDONLY)
            guard flock(file.number, LOCK_EX | LOCK_NB) == 0 else { return nil }
            let text = String(decoding: try file.readAll(), as: UTF8.self)
            unlink(path)
            return text.isEmpty ? [] : split(text, at: "\n")
        } catch {
            return []
        }
    }
}

/// A network that containers of this host are in.
public struct NetworkInUse: Sendable {
    /// As the user calls it.
    public let name: String
    /// Its bridge, and the table of its rules.
    public let link: String
    /// Its addresses.
    public let subnet: IPSubnet
}

/// The networks of this host, as far as they can be seen without waiting for anyone.
public func networksInUse() -> [NetworkInUse] {
    do { return try NetworkRegistry.read() } catch { return [] }
}

extension NetworkRegistry {
    fileprivate static func read() throws(KernelError) -> [NetworkInUse] {
        let top = try place()
        var networks: [NetworkInUse] = []
        for name in try namesInDirectory(top) {
            let settings = try settings("\(top)/\(name)/settings", of: name)
            networks.append(
                NetworkInUse(name: name, link: settings.link, subnet: settings.subnet))
        }
        return networks
    }
}
