import CLinux
import Glibc

/// A process between the owner and the sandbox, for a sandbox that is born in the user namespace
/// of another.
///
/// New namespaces belong to the user namespace of whoever makes them. The owner cannot go there:
/// it would never come back, and could not write the host's files any more. So a child of its own
/// goes, makes the sandbox there, and ends; `CLONE_PARENT` makes the sandbox a child of the owner's
/// all the same. See `clone(2)` and `user_namespaces(7)`.
struct GoBetween {
    private let places: [OpenNamespace]

    /// Goes to these.
    init(_ places: [OpenNamespace]) { self.places = places }

    /// Returns twice, as ``Kernel/clone(into:from:cgroup:isSandbox:why:)`` does.
    func clone(into namespaces: Namespaces, cgroup: CInt?) throws(KernelError) -> ProcessID? {
        let answer = try Pipe()
        let process = fork_process()
        if process == 0 {
            // From here on there are two that return from this: neither is the go-between.
            return try go(into: namespaces, cgroup, answeringOn: answer.writing)
        }
        guard process > 0 else { throw KernelError("fork", "a go-between", .current) }
        close(answer.writing)
        defer { close(answer.reading) }
        var number: pid_t = 0
        let count = retryingInterrupts { read(answer.reading, &number, 4) }
        _ = try wait(for: ProcessID(rawValue: process))
        let failure: Errno? =
            count != 4 ? Errno(rawValue: ECHILD) : number < 0 ? Errno(rawValue: -number) : nil
        try systemCall(
            "clone3", [.symbol("{flags=\(namespaces.symbols)|CLONE_PARENT}"), .number(88)],
            on: "a process in the namespaces of another",
            why: "made by a child that has gone to where the sandbox is to be born"
        ) {
            set_errno(failure?.rawValue ?? 0)
            return failure == nil ? number : -1
        }
        return ProcessID(rawValue: number)
    }

    // book: begin go-between
    /// In the go-between. Only the sandbox returns.
    private func go(
        into namespaces: Namespaces, _ cgroup: CInt?, answeringOn answer: CInt
    ) throws(KernelError) -> ProcessID? {
        Narrator.stop()
        var arguments = clone_args()
        arguments.flags = namespaces.rawValue | UInt64(CLONE_PARENT)
        if let cgroup {
            arguments.flags |= linux_CLONE_INTO_CGROUP
            arguments.cgroup = UInt64(cgroup)
        }
        var number: pid_t
        do throws(KernelError) {
            try enterNamespaces(places)
            number = clone3(&arguments, MemoryLayout<clone_args>.size)
            if number == 0 { return nil }
            if number < 0 { number = -current_errno() }
        } catch {
            number = -error.errno.rawValue
        }
        write(answer, &number, 4)
        _exit(0)
    }
    // book: end go-between
}

/// Moves this process into all of them.
///
/// The user namespace comes second: it gives the right to enter those that belong to it, and takes
/// the right to enter those that do not. See `setns(2)`.
public func enterNamespaces(_ namespaces: [OpenNamespace]) throws(KernelError) {
    var later: [OpenNamespace] = []
    let user = namespaces.first { $0.kind == .user }
    for namespace in namespaces where namespace.kind != .user {
        do {
            try enterNamespace(namespace.number, namespace.kind, why: "one that is there already")
        } catch {
            guard user != nil, error.errno == .notPermitted else { throw error }
            later.append(namespace)
        }
    }
    guard let user else { return }
    try enterNamespace(user.number, .user, why: "its root is what we are from here on")
    for namespace in later {
        try enterNamespace(namespace.number, namespace.kind, why: "this one belongs to it")
    }
}
