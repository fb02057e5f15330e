import CLinux
import Glibc

/// Kinds of namespaces, as flags for `clone3(2)`. See `namespaces(7)`.
public struct Namespaces: OptionSet, Hashable, Sendable {
    /// The kernel's CLONE_NEW… bits.
    public let rawValue: UInt64
    /// Takes the kernel's bits as they are.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// What is mounted where. See `mount_namespaces(7)`.
    public static let mount = Namespaces(rawValue: UInt64(CLONE_NEWNS))
    /// Host and domain name. See `uts_namespaces(7)`.
    public static let uts = Namespaces(rawValue: UInt64(CLONE_NEWUTS))
    /// System V objects and POSIX message queues. See `ipc_namespaces(7)`.
    public static let ipc = Namespaces(rawValue: UInt64(CLONE_NEWIPC))
    /// Process numbers. See `pid_namespaces(7)`.
    public static let pid = Namespaces(rawValue: UInt64(CLONE_NEWPID))
    /// Links, addresses, routes, sockets. See `network_namespaces(7)`.
    public static let network = Namespaces(rawValue: UInt64(CLONE_NEWNET))
    /// User and group ids, and capabilities. See `user_namespaces(7)`.
    public static let user = Namespaces(rawValue: UInt64(CLONE_NEWUSER))
    /// Which cgroup is the top of the tree. See `cgroup_namespaces(7)`.
    public static let cgroup = Namespaces(rawValue: UInt64(CLONE_NEWCGROUP))
    /// Monotonic and boot-time clocks. See `time_namespaces(7)`.
    public static let time = Namespaces(rawValue: UInt64(linux_CLONE_NEWTIME))

    /// In the order of strace, which is that of the bits but for the last.
    private static let names: [(Namespaces, symbol: String, option: String)] = [
        (.mount, "CLONE_NEWNS", "--mount --propagation unchanged"),
        (.cgroup, "CLONE_NEWCGROUP", "--cgroup"), (.uts, "CLONE_NEWUTS", "--uts"),
        (.ipc, "CLONE_NEWIPC", "--ipc"), (.user, "CLONE_NEWUSER", "--user"),
        (.pid, "CLONE_NEWPID", "--pid --kill-child"), (.network, "CLONE_NEWNET", "--net"),
        (.time, "CLONE_NEWTIME", "--time"),
    ]

    /// The symbols, as strace shows them.
    public var symbols: String {
        let set = Namespaces.names.filter { contains($0.0) }.map(\.symbol)
        return set.isEmpty ? "0" : set.joined(separator: "|")
    }

    /// How util-linux gets the same: a shell that reads its script from descriptor 9, so that
    /// standard input stays the command's.
    fileprivate var shellCommand: String {
        let options = Namespaces.names.filter { contains($0.0) }.map(\.option)
        let unshare = isEmpty ? "" : "unshare --fork \(options.joined(separator: " ")) "
        return unshare + "sh -eu /dev/fd/9 9<<'SANDBOX'"
    }
}

/// A process of this host, by number.
public struct ProcessID: RawRepresentable, Hashable, Sendable {
    /// The number in our own PID namespace.
    public let rawValue: pid_t
    /// Takes the kernel's number.
    public init(rawValue: pid_t) { self.rawValue = rawValue }
}

/// A namespace that is there already, and open. See `setns(2)`.
public struct OpenNamespace: Sendable {
    /// Which kind it is.
    public let kind: Namespaces
    /// Its descriptor.
    public let number: CInt

    /// The namespace that `number` is open for.
    public init(_ kind: Namespaces, _ number: CInt) {
        self.kind = kind
        self.number = number
    }
}

/// Makes a process that starts in new namespaces. Returns twice, as `fork(2)` does.
///
/// Only a process with a single thread may call this: the child goes on running
/// Swift, and a lock held by a thread that was not copied would never be released.
/// See `clone3(2)`.
/// - Parameters:
///   - birthplaces: namespaces of others that it is to be born in; see ``GoBetween``.
///   - cgroup: the open directory of the cgroup to start in; nil for the parent's.
///   - isSandbox: false for a helper, which a shell starts by itself.
/// - Returns: the child's number in the parent, nil in the child.
public func clone(
    into namespaces: Namespaces, from birthplaces: [OpenNamespace] = [], cgroup: CInt? = nil,
    isSandbox: Bool = true, why: StaticString
) throws(KernelError) -> ProcessID? {
    if birthplaces.isEmpty {
        return try cloneHere(into: namespaces, cgroup: cgroup, isSandbox: isSandbox, why: why)
    }
    if birthplaces.contains(where: { $0.kind == .user }) {
        return try GoBetween(birthplaces).clone(into: namespaces, cgroup: cgroup)
    }
    var homes: [OpenNamespace] = []
    defer { for home in homes { close(home.number) } }
    for place in birthplaces {
        let home = try Descriptor.open("/proc/self/ns/" + place.kind.fileName, O_RDONLY)
        homes.append(OpenNamespace(place.kind, home.release()))
    }
    do {
        for place in birthplaces {
            try enterNamespace(place.number, place.kind, why: "the next child is born in it")
        }
        let child = try cloneHere(into: namespaces, cgroup: cgroup, isSandbox: isSandbox, why: why)
        if child != nil { try goHome(homes) }
        return child
    } catch {
        do { try goHome(homes) } catch {}
        throw error
    }
}

private func goHome(_ homes: [OpenNamespace]) throws(KernelError) {
    for home in homes {
        try enterNamespace(home.number, home.kind, why: "the children after that are ours again")
    }
}

extension Namespaces {
    /// What the kernel calls one of this kind in `/proc/PID/ns`.
    public var fileName: String {
        switch self {
        case .user: "user"
        case .network: "net"
        case .mount: "mnt"
        case .ipc: "ipc"
        case .uts: "uts"
        case .cgroup: "cgroup"
        case .time: "time"
        default: "pid"
        }
    }
}

private func cloneHere(
    into namespaces: Namespaces, cgroup: CInt?, isSandbox: Bool, why: StaticString
) throws(KernelError) -> ProcessID? {
    var arguments = clone_args()
    arguments.flags = namespaces.rawValue
    arguments.exit_signal = UInt64(SIGCHLD)
    var (into, place) = ("", "")
    if let cgroup {
        arguments.flags |= linux_CLONE_INTO_CGROUP
        arguments.cgroup = UInt64(cgroup)
        (into, place) = ("|CLONE_INTO_CGROUP", ", cgroup=\(cgroup)")
    }
    var child = clone3(&arguments, MemoryLayout<clone_args>.size)
    // A container's filter cannot look into the structure, so Docker's says that there is no such
    // call. The older one knows no cgroup, and has no room for the time namespace's flag.
    if child < 0, Errno.current == .notImplemented, cgroup == nil, !namespaces.contains(.time) {
        child = clone_plainly(namespaces.rawValue)
    }
    if child == 0 { return nil }
    // The child says nothing here, so that the call is told once.
    let number = current_errno()
    try systemCall(
        "clone3",
        [
            .symbol("{flags=\(namespaces.symbols)\(into), exit_signal=SIGCHLD\(place)}"),
            .number(MemoryLayout<clone_args>.size),
        ],
        on: "a process in new namespaces", why: why,
        shell: Narrator.isInSandbox || !isSandbox ? nil : namespaces.shellCommand + joining(cgroup)
    ) {
        set_errno(number)
        return child
    }
    return ProcessID(rawValue: child)
}

/// No shell is born in a cgroup; it goes there as the first thing: 0 stands for whoever writes.
private func joining(_ cgroup: CInt?) -> String {
    guard let cgroup, let path = realpath("/proc/self/fd/\(cgroup)", nil) else { return "" }
    defer { free(path) }
    return "\necho 0 > \(quoteShell(String(cString: path) + "/cgroup.procs"))"
}

/// Makes the cgroup that this process is in the top of all that it can see.
/// See `cgroup_namespaces(7)`, `unshare(2)`.
public func unshareControlGroups(why: StaticString) throws(KernelError) {
    try systemCall(
        "unshare", [.symbol("CLONE_NEWCGROUP")], on: "the cgroup namespace", why: why,
        shell: Narrator.nestedShell("unshare --cgroup", until: "CGROUP")
    ) { unshare(CLONE_NEWCGROUP) }
}

/// Moves this process into a new network namespace. See `network_namespaces(7)`, `unshare(2)`.
public func unshareNetwork(why: StaticString) throws(KernelError) {
    try leaveNamespaces(
        for: .network, shell: Narrator.nestedShell("unshare --net", until: "NETWORK"), why: why)
}

/// Moves this process to another root directory. See `chroot(2)`.
public func changeRoot(_ path: String, why: StaticString) throws(KernelError) {
    try systemCall("chroot", [.text(path)], on: path, why: why) { chroot(path) }
    Narrator.prefixShellCommands(with: "chroot \(quoteShell(path))")
}

/// Changes the current directory. See `chdir(2)`.
///
/// - Parameter told: false inside a ``changeRoot(_:why:)``, where a shell could not follow.
public func changeDirectory(_ path: String, shell: Bool = true, why: StaticString)
    throws(KernelError)
{
    try systemCall(
        "chdir", [.text(path)], on: path, why: why,
        shell: shell ? "cd \(quoteShell(path))" : nil
    ) { chdir(path) }
}

/// Changes the current directory to one that is open. See `fchdir(2)`.
public func changeDirectory(_ directory: borrowing Descriptor, why: StaticString)
    throws(KernelError)
{
    let number = directory.number
    try systemCall("fchdir", [.number(Int(number))], on: "descriptor \(number)", why: why) {
        fchdir(number)
    }
}

/// Gives this UTS namespace its host name. See `sethostname(2)`.
public func setHostName(_ name: String, why: StaticString) throws(KernelError) {
    try systemCall(
        "sethostname", [.text(name), .number(name.utf8.count)], on: name, why: why,
        shell: "hostname \(quoteShell(name))"
    ) { sethostname(name, name.utf8.count) }
}

/// Gives this UTS namespace its NIS domain name. See `setdomainname(2)`.
public func setDomainName(_ name: String, why: StaticString) throws(KernelError) {
    try systemCall(
        "setdomainname", [.text(name), .number(name.utf8.count)], on: name, why: why,
        shell: "domainname \(quoteShell(name))"
    ) { setdomainname(name, name.utf8.count) }
}

/// Moves this process into a namespace that is open. See `setns(2)`.
///
/// - Parameter kind: which kind it has to be.
public func enterNamespace(
    _ namespace: CInt, _ kind: Namespaces, why: StaticString
) throws(KernelError) {
    try systemCall(
        "setns", [.number(Int(namespace)), .symbol(kind.symbols)],
        on: "the namespace of another process", why: why
    ) { setns(namespace, CInt(truncatingIfNeeded: kind.rawValue)) }
}
