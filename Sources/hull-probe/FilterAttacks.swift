import CLinux
import Glibc
import Kernel

// Calls that no ordinary program makes, and behind which holes in the kernel were found.

extension Attack {
    /// Makes itself root of a new user namespace.
    ///
    /// Anyone may, and has all capabilities in it: over a network stack, mounts, firewalls of its
    /// own. Nothing of that reaches the host, if the kernel has no bug there. It had, year by year.
    /// No capability stops it; a filter on `unshare(2)` and `clone(2)` does.
    static let newUserNamespace = Attack(
        "new-userns", "", "Becomes root of a new user namespace.", stoppedBy: .privileges
    ) { _ throws(KernelError) in
        guard unshare(CLONE_NEWUSER) == 0 else {
            throw KernelError("unshare", "CLONE_NEWUSER", .current)
        }
        return .gotThrough("a user namespace with every capability in it")
    }

    /// Puts a program into the kernel.
    ///
    /// It takes `CAP_BPF` or `CAP_SYS_ADMIN`, and on some machines nothing at all. The probe makes
    /// a table of four bytes, gone when it ends.
    static let useBPF = Attack(
        "bpf", "", "Makes a BPF map, as loading a program begins.", stoppedBy: .privileges
    ) { _ throws(KernelError) in
        let map = create_bpf_map()
        guard map >= 0 else { throw KernelError("bpf", "BPF_MAP_CREATE", .current) }
        close(map)
        return .gotThrough("a BPF map was made")
    }

    /// Sets up io_uring: system calls without system calls, which no filter sees.
    ///
    /// No capability is asked for. Docker's filter has denied it since 2023.
    static let useIOUring = Attack(
        "io-uring", "", "Sets up a ring by which files are used past the filter.",
        stoppedBy: .privileges
    ) { _ throws(KernelError) in
        let ring = set_up_io_uring()
        guard ring >= 0 else {
            let errno = Errno.current
            if errno == .notImplemented { return .notTried("this kernel has no io_uring") }
            throw KernelError("io_uring_setup", "a ring of one entry", errno)
        }
        close(ring)
        return .gotThrough("an io_uring was set up")
    }

    /// Reads a key of whoever started the sandbox.
    ///
    /// Keys have no namespace. A session keyring is handed on by fork and exec, and who has it may
    /// read what is in it: a disk's passphrase, a Kerberos ticket. A new keyring, and a filter on
    /// `keyctl(2)`, are two walls of which each is enough.
    static let readKey = Attack(
        "read-key", "NAME [EXPECTED]", "Reads a key of the host's session by its name.",
        stoppedBy: .privileges
    ) { arguments throws(KernelError) in
        let key = find_key(arguments[0])
        guard key >= 0 else { throw KernelError("request_key", arguments[0], .current) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { bytes in
            keyctl_call(
                11, UInt(bitPattern: Int(key)), UInt(bitPattern: bytes.baseAddress),
                UInt(bytes.count))
        }
        guard count >= 0 else { throw KernelError("keyctl", "KEYCTL_READ", .current) }
        let text = firstLine(Array(buffer.prefix(min(count, buffer.count))))
        guard arguments.count < 2 || arguments[1] == text else {
            return .stopped("the key \(arguments[0]) holds something else: \(text)")
        }
        return .gotThrough("the key \(arguments[0]) holds \(text)")
    }

    /// Runs COMMAND with a key in a session keyring, for the others to read: the host's part.
    static let holdKey = Attack(
        "hold-key", "NAME VALUE COMMAND [ARG…]",
        "Runs COMMAND with the key NAME in its session.", stoppedBy: nil
    ) { arguments throws(KernelError) in
        guard join_new_session_keyring() >= 0 else {
            return .notTried(KernelError("keyctl", "a new session", .current))
        }
        guard add_session_key(arguments[0], arguments[1]) >= 0 else {
            return .notTried(KernelError("add_key", arguments[0], .current))
        }
        var environment: [String] = []
        var next = environ
        while let string = next.pointee {
            environment.append(String(cString: string))
            next += 1
        }
        try execute(
            Array(arguments.dropFirst(2)), environment: environment, why: "It inherits the key.")
    }
}
