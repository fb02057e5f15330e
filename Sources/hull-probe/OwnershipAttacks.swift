import CLinux
import Glibc
import Kernel

// Being root where it counts, and what else was the whole machine's.

extension Attack {
    /// Reads what only the host's root, or a group that the caller is in, may read.
    ///
    /// The file is in a volume, so no mount namespace hides it. Ids decide, and without a user
    /// namespace root inside *is* the host's root. With one it is an ordinary user's id (`EACCES`).
    static let rootFile = Attack(
        "root-file", "PATH [EXPECTED]", "Reads a file that is closed to ordinary users.",
        stoppedBy: .identity
    ) { arguments throws(KernelError) in
        let file = try Descriptor.open(arguments[0], O_RDONLY)
        let text = firstLine(try file.read(upTo: 200))
        guard arguments.count < 2 || arguments[1] == text else {
            return .stopped("\(arguments[0]) holds something else: \(text)")
        }
        return .gotThrough("\(arguments[0]): \(text)")
    }

    /// Leaves a program in a volume that makes whoever runs it on the host root.
    ///
    /// A set-user-ID file belongs to whoever makes it. Whom that is outside the user namespace's
    /// map tells; from inside it is judged by the namespace's number, from outside by the owner.
    static let plantSetUID = Attack(
        "plant-setuid", "PATH", "Leaves a set-user-ID program of root's in a volume.",
        stoppedBy: .identity
    ) { arguments throws(KernelError) in
        let path = arguments[0]
        let file = try Descriptor.open(path, O_WRONLY | O_CREAT, mode: 0o755)
        guard fchmod(file.number, 0o4755) == 0 else { throw KernelError("fchmod", path, .current) }
        if isInFirstUserNamespace { return .gotThrough("\(path) makes anyone root") }
        let map = firstLine(try readFile("/proc/self/uid_map")).split(separator: " ")
        return .stopped(
            "\(path) is set-user-ID, and belongs to user \(map.count > 1 ? map[1] : "?") outside")
    }

    /// Opens a message queue of the host's.
    ///
    /// POSIX queues have names, but not in the file system: the IPC namespace knows them. In one
    /// of its own the sandbox finds no such name (`ENOENT`).
    static let messageQueue = Attack(
        "message-queue", "NAME", "Opens a POSIX message queue that the host made.",
        stoppedBy: .identity
    ) { arguments throws(KernelError) in
        let queue = open_message_queue(arguments[0], O_RDWR | O_CLOEXEC, 0)
        guard queue >= 0 else { throw KernelError("mq_open", arguments[0], .current) }
        close(queue)
        return .gotThrough("messages of \(arguments[0]) can be read and written")
    }

    /// Tells how long the host has been running.
    ///
    /// Which kernel it runs is no secret, but since when tells whether it has had the last
    /// updates, and makes a machine known again. A time namespace has clocks of its own.
    static let hostClock = Attack(
        "host-clock", "SECONDS", "Tells for how long the host has been up, within a minute.",
        stoppedBy: .identity
    ) { arguments throws(KernelError) in
        guard let expected = Int(arguments[0]) else { return .notTried("SECONDS is no number") }
        var now = timespec()
        clock_gettime(CLOCK_BOOTTIME, &now)
        let text = "the clock has run for \(now.tv_sec) s"
        return abs(now.tv_sec - expected) < 60 ? .gotThrough(text) : .stopped(text)
    }
}
