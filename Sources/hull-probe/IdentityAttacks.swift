import CLinux
import Glibc
import Kernel

// Names, shared memory and words that were the host's.

extension Attack {
    /// Renames the host.
    ///
    /// The host name belongs to a UTS namespace. Without one of its own the sandbox renames the
    /// machine. From inside that is judged by the namespace's number, which is fixed for the
    /// kernel's first; on a machine that is a container itself, look from outside while the probe
    /// holds the name for SECONDS. The old name is put back.
    static let setHostname = Attack(
        "set-hostname", "NAME [SECONDS]", "Gives the host another name for a moment.",
        stoppedBy: .identity
    ) { arguments throws(KernelError) in
        guard let seconds = arguments.count > 1 ? UInt32(arguments[1]) : 0 else {
            return .notTried("SECONDS is no number")
        }
        let old = hostname()
        // A signal must not end the probe before the old name is back.
        try setBlockedSignals(SignalSet([SIGHUP, SIGINT, SIGTERM]))
        try setHostName(arguments[0], why: "The name of everyone in this UTS namespace.")
        sleep(seconds)
        try setHostName(old, why: "It was a proof, not a purpose.")
        let namespace = try openProc().link("self/ns/uts") ?? "unknown"
        // PROC_UTS_INIT_INO in the kernel's include/uapi/linux/nsfs.h
        guard namespace == "uts:[\(0xEFFF_FFFE as UInt32)]" else {
            return .stopped("only \(namespace) was renamed, which is not the kernel's first")
        }
        return .gotThrough("the host was called \(arguments[0])")
    }

    /// Reads memory that a process of the host shares.
    ///
    /// System V segments have neither path nor owner in the file system: a key, looked up in the
    /// IPC namespace, is all. In a namespace of its own the sandbox finds no such key (`ENOENT`).
    static let sharedMemory = Attack(
        "shared-memory", "KEY [EXPECTED]", "Reads a System V segment that the host made.",
        stoppedBy: .identity
    ) { arguments throws(KernelError) in
        let digits = arguments[0]
        let key =
            digits.hasPrefix("0x") ? UInt32(digits.dropFirst(2), radix: 16) : UInt32(digits)
        guard let key else { return .notTried("KEY has to be a number, or 0x and digits") }
        let segment = shmget(key_t(bitPattern: key), 0, 0)
        guard segment >= 0 else { throw KernelError("shmget", digits, .current) }
        let text = try readSegment(segment)
        guard arguments.count < 2 || arguments[1] == text else {
            return .stopped("segment \(digits) holds something else: \(text)")
        }
        return .gotThrough("segment \(digits) holds \(text)")
    }

    /// Reads a variable of the environment of whoever started the sandbox.
    ///
    /// `execve(2)` hands on what it is given, and the easiest thing to give is everything: tokens
    /// and keys with the rest. An engine builds an environment from the image and its options.
    static let readEnvironment = Attack(
        "read-env", "NAME", "Reads a variable that belongs to the host's user.",
        stoppedBy: .engine
    ) { arguments throws(KernelError) in
        guard let value = getenv(arguments[0]) else {
            return .stopped("\(arguments[0]) is not in the environment")
        }
        return .gotThrough("\(arguments[0])=\(String(cString: value))")
    }
}

private func readSegment(_ segment: CInt) throws(KernelError) -> String {
    var about = shmid_ds()
    guard shmctl(segment, IPC_STAT, &about) == 0 else {
        throw KernelError("shmctl", "segment \(segment)", .current)
    }
    let address = shmat(segment, nil, CInt(SHM_RDONLY))
    guard let address, Int(bitPattern: address) != -1 else {
        throw KernelError("shmat", "segment \(segment)", .current)
    }
    defer { shmdt(address) }
    let bytes = UnsafeRawBufferPointer(start: address, count: min(Int(about.shm_segsz), 200))
    return firstLine(Array(bytes.prefix { $0 != 0 }))
}
