import CLinux
import Glibc
import Kernel

// What root may do to a machine, whatever namespaces it is in: one capability each.

extension Attack {
    /// Mounts a file system: the first step of a dozen ways out.
    ///
    /// It takes `CAP_SYS_ADMIN`. What is mounted here is an empty tmpfs in the sandbox's own mount
    /// namespace, for a moment.
    static let mountAnything = Attack(
        "mount", "[DIR]", "Mounts a file system on DIR, /tmp if not given.", stoppedBy: .privileges
    ) { arguments throws(KernelError) in
        let target = arguments.first ?? "/tmp"
        try mount("none", on: target, type: "tmpfs", why: "Something easy to take away.")
        try unmount(target, why: "It was a proof, not a purpose.")
        return .gotThrough("mounted a file system on \(target)")
    }

    /// Loads a module into the kernel.
    ///
    /// Code of the attacker's would be part of the kernel, above everything. It takes
    /// `CAP_SYS_MODULE`. The probe gives no file, so all that the kernel can say behind that is
    /// that there is none (`EBADF`).
    static let loadModule = Attack(
        "load-module", "", "Asks the kernel to load a module.", stoppedBy: .privileges
    ) { _ throws(KernelError) in
        _ = load_module(-1)
        return try judge("finit_module", expecting: [EBADF], "the kernel would load a module")
    }

    /// Sets the clock of the whole machine.
    ///
    /// There is one, and it has no namespace: certificates, tickets and backups go by it. It takes
    /// `CAP_SYS_TIME`. The probe sets it to what it shows.
    static let setClock = Attack(
        "set-clock", "", "Sets the machine's clock.", stoppedBy: .privileges
    ) { _ throws(KernelError) in
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        guard clock_settime(CLOCK_REALTIME, &now) == 0 else {
            throw KernelError("clock_settime", "CLOCK_REALTIME", .current)
        }
        return .gotThrough("the machine's clock was set")
    }

    /// Restarts the machine.
    ///
    /// In a PID namespace of its own a sandbox restarts only itself, but so does a machine that
    /// has one sandbox as its init. It takes `CAP_SYS_BOOT`. The probe leaves out the magic
    /// numbers without which the kernel does nothing (`EINVAL`).
    static let restart = Attack(
        "reboot", "", "Asks for a restart, without the magic numbers.", stoppedBy: .privileges
    ) { _ throws(KernelError) in
        _ = reboot_without_magic()
        return try judge("reboot", expecting: [EINVAL], "the kernel would restart")
    }

    /// Takes hold of another process: reads its memory, changes what it does.
    ///
    /// Who is the same user may, unless the other has more capabilities or is closed to that,
    /// as our init is. `CAP_SYS_PTRACE` may always. The process is let go at once.
    static let trace = Attack(
        "ptrace", "PID", "Takes hold of another process.", stoppedBy: .privileges
    ) { arguments throws(KernelError) in
        guard let process = pid_t(arguments[0]), process != getpid() else {
            return .notTried("PID has to be another process")
        }
        guard seize_process(process) == 0 else {
            throw KernelError("ptrace", "process \(process)", .current)
        }
        return .gotThrough("process \(process) is in our hands")
    }

    /// Talks to the hardware past the kernel.
    ///
    /// It takes `CAP_SYS_RAWIO`. The probe raises its privilege and does nothing with it.
    static let ioPorts = Attack(
        "io-ports", "", "Gets access to the machine's I/O ports.", stoppedBy: .privileges
    ) { _ throws(KernelError) in
        guard raise_io_privilege() == 0 else {
            let errno = Errno.current
            if errno == .notImplemented { return .notTried("this machine has none") }
            throw KernelError("iopl", "level 3", errno)
        }
        return .gotThrough("the I/O ports are open")
    }

    /// Opens the host's root directory by its number.
    ///
    /// A *handle* names a file by its inode, for servers of network file systems. Any directory on
    /// the same disk will do to ask from, such as a volume, and no root is looked at: inode 2 is
    /// the top of an ext file system. This broke out of early Docker ("shocker.c", 2014). It takes
    /// `CAP_DAC_READ_SEARCH`.
    static let openHandle = Attack(
        "open-handle", "DIR", "Opens the root of the disk that DIR is on, by its inode.",
        stoppedBy: .privileges
    ) { arguments throws(KernelError) in
        let start = try Descriptor.open(arguments[0], O_RDONLY | O_DIRECTORY)
        let number = open_root_inode(start.number)
        guard number >= 0 else {
            let errno = Errno.current
            if errno.rawValue == ESTALE || errno.rawValue == EOPNOTSUPP {
                return .notTried("\(arguments[0]) is on no ext file system")
            }
            throw KernelError("open_by_handle_at", arguments[0], errno)
        }
        let names = try directoryEntries(Descriptor(owning: number)).map(\.shown).sorted()
        return .gotThrough("the top of the disk holds \(join(names, with: " "))")
    }

    /// Reads every packet of the network it is in.
    ///
    /// A packet socket sees them all. `CAP_NET_RAW`, which Docker leaves to containers because
    /// ping once needed it, is enough.
    static let sniffRaw = Attack(
        "raw-socket", "", "Opens a socket that sees every packet.", stoppedBy: .privileges
    ) { _ throws(KernelError) in
        let everything = CInt(UInt16(0x0003).bigEndian)
        let number = socket(AF_PACKET, CInt(SOCK_RAW.rawValue), everything)
        guard number >= 0 else { throw KernelError("socket", "AF_PACKET", .current) }
        close(number)
        return .gotThrough("a packet socket is open")
    }

    /// Changes the root directory, which is how the oldest of break-outs begins.
    ///
    /// It takes `CAP_SYS_CHROOT`, which Docker leaves to containers.
    static let changeRootAgain = Attack(
        "chroot", "", "Changes the root directory.", stoppedBy: .privileges
    ) { _ throws(KernelError) in
        try changeRoot("/", why: "To where it is already.")
        return .gotThrough("chroot(2) may be called")
    }

    /// Becomes root.
    ///
    /// For an ordinary user that takes a program with the set-user-ID bit: this one, if its file
    /// belongs to root and has it. `no_new_privs` takes all meaning from the bit.
    static let becomeRoot = Attack(
        "become-root", "", "Becomes root by the set-user-ID bit of this program's file.",
        stoppedBy: .privileges
    ) { _ throws(KernelError) in
        if getuid() == 0 { return .notTried("this is root already") }
        guard setuid(0) == 0 else { throw KernelError("setuid", "0", .current) }
        return .gotThrough("user \(getuid()), and was another before")
    }

    /// Overwrites the program that made the sandbox: it makes the next one as well.
    ///
    /// /proc/PID/exe of a process that runs it leads to the host's file. `ETXTBSY` is no wall: it
    /// goes when the last such process does (CVE-2019-5736). The probe opens it and writes
    /// nothing.
    static let overwriteRuntime = Attack(
        "overwrite-runtime", "PID", "Opens the program of process PID, a runtime's, for writing.",
        stoppedBy: .privileges
    ) { arguments throws(KernelError) in
        let path = "/proc/\(arguments[0])/exe"
        let program = try Descriptor.open(path, O_RDONLY)
        // Asked first: while the program runs, the kernel says that it is busy before it looks at
        // the mount.
        if access("/proc/self/fd/\(program.number)", W_OK) != 0 {
            throw KernelError("access", path, .current)
        }
        do throws(KernelError) {
            _ = try Descriptor.open("/proc/self/fd/\(program.number)", O_WRONLY)
        } catch {
            guard error.errno.rawValue == ETXTBSY else { throw error.renamed("open", path) }
            return .gotThrough("\(path) is only busy, until the last of its processes ends")
        }
        return .gotThrough("\(path) is open for writing")
    }
}

/// Judges a call that was made so that it cannot succeed: got through where it failed behind the
/// question whether it is allowed.
func judge(
    _ call: StaticString, expecting: [Int32], _ meaning: String
) throws(KernelError) -> Outcome {
    let errno = Errno.current
    if errno == .notImplemented { return .notTried("this kernel has no \(call)") }
    guard expecting.contains(errno.rawValue) else { throw KernelError("\(call)", "", errno) }
    return .gotThrough("\(meaning): \(call) failed only for want of an argument")
}
