import CLinux
import Glibc
import Kernel

/// A terminal for the sandbox (`-t`): a pair of ends, the slave inside, the master with the owner.
///
/// It comes from the sandbox's own devpts, so its name (`/dev/pts/0`) is valid inside and
/// no other sandbox can open it. See `pty(7)` and `devpts` in the kernel's documentation.
enum PseudoTerminal {
    // book: begin pty
    /// Opens a terminal, sends its master end to the owner, and makes the slave end
    /// standard input, output and error. The process has to be a session leader.
    ///
    /// - Parameters:
    ///   - size: how large it is at first; as large as the user's where nil.
    ///   - console: whether it is mounted on /dev/console.
    static func open(
        sized size: TerminalSize?, console: Console, handingMasterTo channel: borrowing SandboxEnd
    ) throws(KernelError) {
        let master = try Descriptor.open("/dev/ptmx", O_RDWR | O_NOCTTY)
        guard unlock_pseudoterminal(master.number) == 0 else {
            throw KernelError("ioctl TIOCSPTLCK", "/dev/ptmx", .current)
        }
        let path = "/dev/pts/\(pseudoterminal_number(master.number))"
        let slave = try Descriptor.open(path, O_RDWR | O_NOCTTY)
        try channel.send(terminal: master)
        try show(slave, as: console)
        guard set_controlling_terminal(slave.number) == 0 else {
            throw KernelError("ioctl TIOCSCTTY", path, .current)
        }
        // While these are still the user's: a command may ask for its size at once.
        if let size { setWindowSize(of: slave, to: size) } else { copyWindowSize(to: slave) }
        for standard: CInt in 0...2 { dup2(slave.number, standard) }
    }
    // book: end pty

    private static func show(
        _ terminal: borrowing Descriptor, as console: Console
    ) throws(KernelError) {
        switch console {
        case .none: return
        case .ifThere where fileType("/dev/console") == nil: return
        case .ifThere, .always: break
        }
        // It is looked for from the root on, and the command starts elsewhere.
        let here = try Descriptor.open(".", CInt(linux_O_PATH) | O_DIRECTORY)
        try changeDirectory("/", why: "where paths begin")
        try bindOnConsole(terminal)
        try changeDirectory(here, why: "back to where the command starts")
    }
}
