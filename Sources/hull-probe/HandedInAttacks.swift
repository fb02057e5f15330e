import CLinux
import Glibc
import Kernel

// What a sandbox is given when it starts: descriptors, and a terminal.

extension Attack {
    /// Looks for descriptors that were left open.
    ///
    /// A descriptor is the right to a file, whatever the root directory or the namespaces say.
    /// `execve(2)` closes only those marked close-on-exec. One directory of the host among them,
    /// and `openat(2)` reads the host's files: that was CVE-2024-21626 in runc.
    static let openDescriptors = Attack(
        "open-descriptors", "", "Looks for open descriptors besides 0, 1 and 2.",
        stoppedBy: .overlay
    ) { _ throws(KernelError) in
        let numbers = hull_probe.openDescriptors()
        guard !numbers.isEmpty else { return .stopped("only 0, 1 and 2 are open") }
        let proc = try? openProc()
        let names = numbers.map { number in
            guard let link = proc?.link("self/fd/\(number)") else { return "\(number)" }
            return "\(number) (\(link))"
        }
        return .gotThrough("open: " + names.joined(separator: ", "))
    }

    /// Types into the terminal of whoever started the sandbox.
    ///
    /// The `TIOCSTI` request puts a character into a terminal's input, as if it had been typed. A
    /// sandbox that shares the terminal with a shell of the host leaves a command there, and the
    /// shell runs it when the sandbox is over. A pseudoterminal of its own (`-t`) makes it talk
    /// to itself. From 6.2 on kernels can refuse the request (dev.tty.legacy_tiocsti = 0, `EIO`).
    static let terminalInject = Attack(
        "terminal-inject", "TEXT", "Types TEXT into the terminal that started the sandbox.",
        stoppedBy: .terminal
    ) { arguments throws(KernelError) in
        let terminal = try someTerminal()
        if isOurOwn(terminal) { return .stopped("the terminal is one of our own /dev/pts") }
        for byte in arguments[0].utf8 {
            guard push_terminal_input(terminal.number, CChar(bitPattern: byte)) == 0 else {
                throw KernelError("ioctl", "TIOCSTI on the terminal", .current)
            }
        }
        return .gotThrough("typed \(arguments[0].utf8.count) characters into the terminal")
    }
}

/// The descriptors that are open besides the standard ones. It needs no /proc.
func openDescriptors() -> [CInt] {
    (3..<CInt(clamping: sysconf(CInt(_SC_OPEN_MAX)))).prefix(1 << 16)
        .filter { fcntl($0, F_GETFD) >= 0 }
}

/// A standard stream that is a terminal, else the controlling terminal by its name.
private func someTerminal() throws(KernelError) -> Descriptor {
    for number: CInt in 0...2 where isatty(number) == 1 {
        let copy = fcntl(number, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else { throw KernelError("dup", "descriptor \(number)", .current) }
        return Descriptor(owning: copy)
    }
    return try Descriptor.open("/dev/tty", O_RDWR)
}

/// Whether the terminal is a device of the devpts that is mounted here.
private func isOurOwn(_ terminal: borrowing Descriptor) -> Bool {
    var device = stat()
    var directory = stat()
    guard fstat(terminal.number, &device) == 0, stat("/dev/pts", &directory) == 0 else {
        return false
    }
    return device.st_dev == directory.st_dev
}
