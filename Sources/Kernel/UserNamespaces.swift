import CLinux
import Glibc

/// Whether this process is in the user namespace that the kernel started with.
///
/// Only there is root the machine's root. Judged by the namespace's number, which is fixed
/// (`PROC_USER_INIT_INO` in the kernel's nsfs.h); without a /proc the answer is yes.
public var isInFirstUserNamespace: Bool {
    var status = stat()
    return stat("/proc/self/ns/user", &status) != 0 || status.st_ino == 0xEFFF_FFFD
}

/// Whether nothing on this machine is forbidden to this process.
public var isMachinesRoot: Bool { geteuid() == 0 && isInFirstUserNamespace }

/// Moves this process into new namespaces. See `unshare(2)`.
///
/// A new time namespace is the next child's; see ``enterNamespace(_:_:why:)``.
public func leaveNamespaces(
    for new: Namespaces, shell: String? = nil, why: StaticString
) throws(KernelError) {
    try systemCall(
        "unshare", [.symbol(new.symbols)], on: "namespaces", why: why, shell: shell
    ) { unshare(CInt(truncatingIfNeeded: new.rawValue)) }
}

/// Moves this process into the namespace of `kind` at `path`. See `setns(2)`.
public func enterNamespace(
    _ path: String, _ kind: Namespaces, why: StaticString
) throws(KernelError) {
    let namespace = try Descriptor.open(path, O_RDONLY)
    let number = namespace.number
    try systemCall(
        "setns", [.number(Int(number)), .symbol(kind.symbols)], on: path, why: why
    ) { setns(number, CInt(truncatingIfNeeded: kind.rawValue)) }
}

/// Which kind of namespace a descriptor is open for; none where it is for none. See
/// `ioctl_nsfs(2)`, `NS_GET_NSTYPE`.
public func namespaceKind(of namespace: borrowing Descriptor) -> Namespaces {
    let kind = ioctl(namespace.number, 0xB703)
    return kind < 0 ? [] : Namespaces(rawValue: UInt64(UInt32(bitPattern: kind)))
}

/// Whether this process is in that namespace.
///
/// - Parameter name: of its kind, as in /proc/self/ns.
public func isOwnNamespace(_ namespace: borrowing Descriptor, _ name: String) -> Bool {
    var (there, own) = (stat(), stat())
    return fstat(namespace.number, &there) == 0 && stat("/proc/self/ns/" + name, &own) == 0
        && there.st_dev == own.st_dev && there.st_ino == own.st_ino
}

/// Writes `text` to one of the kernel's files, in the one call that such files want.
public func tellKernel(_ text: String, in path: String, why: StaticString) throws(KernelError) {
    let file: Descriptor
    do { file = try Descriptor.open(path, O_WRONLY) } catch { throw error.renamed("write", path) }
    let number = file.number
    let bytes = Array(text.utf8)
    try systemCall(
        "write", [.number(Int(number)), .text(text), .number(bytes.count)], on: path, why: why,
        shell: "printf %s \(quoteShell(text)) > \(path)"
    ) { write(number, bytes, bytes.count) }
}

/// Lets this process use its own files in /proc again. See `prctl(2)`, `PR_SET_DUMPABLE`.
public func showInProc(why: StaticString) throws(KernelError) {
    try systemCall(
        "prctl", [.symbol("PR_SET_DUMPABLE"), .symbol("SUID_DUMP_USER")], on: "PR_SET_DUMPABLE",
        why: why
    ) { prctl_set(CInt(linux_PR_SET_DUMPABLE), 1) }
}

/// A process that does nothing but hold new namespaces open, killed when its owner goes.
///
/// A namespace lives while somebody is in it, and who is to enter it may have to wait.
public struct NamespaceHolder: ~Copyable {
    /// The process, whose /proc/PID/ns leads to the namespaces.
    public let process: ProcessID

    /// Makes the namespaces and a process in them. See `clone3(2)`.
    public init(of namespaces: Namespaces, shell: String, why: StaticString) throws(KernelError) {
        var arguments = clone_args()
        arguments.flags = namespaces.rawValue
        arguments.exit_signal = UInt64(SIGCHLD)
        let size = MemoryLayout<clone_args>.size
        let child = try systemCall(
            "clone3",
            [
                .symbol("{flags=\(namespaces.symbols), exit_signal=SIGCHLD}"), .number(size),
            ],
            on: "a process in new namespaces", why: why, shell: shell
        ) {
            let child = clone3(&arguments, size)
            if child == 0 { NamespaceHolder.hold() }
            return child
        }
        process = ProcessID(rawValue: child)
    }

    private static func hold() -> Never {
        _ = prctl_set(CInt(linux_PR_SET_PDEATHSIG), UInt(SIGKILL))
        // The owner may have been killed before; from inside nobody can tell, so not for ever.
        sleep(60)
        _exit(0)
    }

    deinit {
        kill(process.rawValue, SIGKILL)
        var status: CInt = 0
        _ = retryingInterrupts { waitpid(process.rawValue, &status, 0) }
    }
}
