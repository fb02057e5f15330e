import Glibc
import Kernel

/// Links of the host's that become the container's (`linux.netDevices`). See runtime-spec,
/// `config-linux.md`, "Network Devices", and `network_namespaces(7)`.
///
/// A link is in one network namespace at a time. Who moves it takes it from all others, so that
/// whatever goes wrong before the command runs, it is brought back. Afterwards it is the
/// namespace's: the kernel gives a machine's own links back when that goes, and removes others.
public final class MovedLinks: Mechanism {
    /// As the narrator calls it.
    public let name = "moved links"
    private let wanted: [(name: String, inside: String?)]
    private let path: String?
    private var moved: [MovedLink] = []
    private var here: CInt = -1
    private var there: CInt = -1

    /// - Parameters:
    ///   - wanted: each link's name, and what it is called in the container, where that is
    ///     another: `%d` in it is a number that the kernel chooses.
    ///   - path: the network namespace that the container joins; nil for its own.
    public init(_ wanted: [(name: String, inside: String?)], joining path: String?) {
        self.wanted = wanted
        self.path = path
    }

    deinit { closeNamespaces() }

    /// Moves each, with its addresses, and lets it carry packets.
    /// - Throws: `ENODEV` where there is no such link, `EEXIST` where the name is taken there.
    public func adopt(_ child: ProcessID) throws(KernelError) {
        here = try Descriptor.open("/proc/self/ns/net", O_RDONLY).release()
        there = try Descriptor.open(path ?? "/proc/\(child.rawValue)/ns/net", O_RDONLY).release()
        let home = try NetlinkSocket()
        let away = try socketThere()
        for link in wanted {
            do { try move(link.name, as: link.inside ?? link.name, from: home, to: away) } catch {
                guard error.errno == .fileExists else { throw error }
                throw error.advising(
                    "The container has a link of that name: choose another, or one with %d.")
            }
        }
    }

    private func socketThere() throws(KernelError) -> NetlinkSocket {
        let copy = Descriptor(owning: fcntl(there, F_DUPFD_CLOEXEC, 3))
        return try NetlinkSocket(in: copy, why: "a socket stays where it was opened")
    }

    private func move(
        _ name: String, as inside: String, from home: borrowing NetlinkSocket,
        to away: borrowing NetlinkSocket
    ) throws(KernelError) {
        let link = try home.link(name, why: "the kernel knows links by number")
        if !contains(inside, "%"),
            try away.index(ofLink: inside, why: "is the name free there?") != nil
        {
            throw KernelError("move link \(name), to be called", inside, .fileExists)
        }
        let addresses = try home.keptAddresses(
            of: link, why: "a link that moves loses its addresses")
        let wasUp = try home.isUp(link, why: "and it goes down")
        // The name may become the kernel's choice; a number of our choice finds it again.
        var index = link.index
        while try away.hasLink(index, why: "is the number free there?") {
            index = Int32.random(in: 1 << 16..<1 << 30)
        }
        moved.append(
            MovedLink(
                home: link, away: Link(inside, index: index), addresses: addresses,
                wasUp: wasUp))
        try home.send(
            [.moveLink(link, into: there, as: inside, index: index)],
            why: "from here on it is not the host's")
        let new = Link(inside, index: index)
        try away.send(
            [.bringUpLink(new)] + addresses.map { .restoreAddress($0, new) },
            why: "up, with the addresses that it had")
    }

    /// From here on they are the container's.
    public func started(_ child: ProcessID) throws(KernelError) {
        moved = []
        closeNamespaces()
    }

    /// Brings back what was moved for a command that has never run.
    public func release() throws(KernelError) {
        defer { closeNamespaces() }
        if moved.isEmpty { return }
        let home = try NetlinkSocket()
        let away = try socketThere()
        while let link = moved.popLast() {
            // It was refused, perhaps, and never went.
            if try home.hasLink(link.home.index, why: "is it still here?") { continue }
            try away.send(
                [
                    .moveLink(
                        link.away, into: here, as: link.home.name, index: link.home.index)
                ], why: "back to the host: nobody is going to use it there")
            let requests: [NetworkRequest] =
                (link.wasUp ? [.bringUpLink(link.home)] : [])
                + link.addresses.map { .restoreAddress($0, link.home) }
            if !requests.isEmpty { try home.send(requests, why: "as it was") }
        }
    }

    private func closeNamespaces() {
        for number in [here, there] where number >= 0 { close(number) }
        (here, there) = (-1, -1)
    }
}

/// A link that has been moved, and what it takes to bring it back.
private struct MovedLink {
    let home: Link
    let away: Link
    let addresses: [KeptAddress]
    let wasUp: Bool
}
