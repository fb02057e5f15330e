import CLinux
import Glibc
import Kernel

// The machine itself: its disk, its memory, its keys, its log.

extension Attack {
    /// Reads the host's disk past all file systems.
    ///
    /// A device node is two numbers, and `mknod(2)` makes one anywhere. No mount, root or
    /// namespace is asked when it is opened. What stops it: a mount without devices (`nodev`),
    /// the device rules of a cgroup (`EPERM`), or no `CAP_MKNOD`. The probe only reads, and the
    /// node goes at once.
    static let hostDevice = Attack(
        "host-device", "[MAJOR:MINOR]", "Makes a node for the host's disk and reads from it.",
        stoppedBy: .cgroups
    ) { arguments throws(KernelError) in
        guard let numbers = arguments.first ?? firstDisk() else {
            return .notTried("no disk in /proc/partitions")
        }
        let parts = numbers.split(separator: ":").compactMap { UInt32($0) }
        guard parts.count == 2 else { return .notTried("a device is MAJOR:MINOR") }
        let bytes = try readBlockDevice(device_number(parts[0], parts[1]))
        return .gotThrough("read \(bytes.count) bytes of block device \(numbers)")
    }

    /// Reads the kernel's memory.
    ///
    /// /proc/kcore shows all of it as one ELF core file: every process's secrets, the host's too.
    /// It has no namespace. Root may read it, so the file is masked by mounting /dev/null on it.
    static let readKcore = Attack(
        "kcore", "", "Reads the kernel's memory through /proc/kcore.", stoppedBy: .overlay
    ) { _ throws(KernelError) in
        let proc = try openProc()
        guard exists("kcore", in: proc) else { return .notTried("this kernel has no /proc/kcore") }
        let file = try Descriptor.open("kcore", O_RDONLY, at: proc.number)
        let head = try file.read(upTo: 4)
        guard head == [0x7F] + Array("ELF".utf8) else {
            return .stopped("/proc/kcore is masked: \(head.count) bytes")
        }
        return .gotThrough("/proc/kcore is an ELF core of the kernel's memory")
    }

    /// Opens the file by which the machine is rebooted.
    ///
    /// One letter into /proc/sysrq-trigger kills all processes, remounts all disks read-only or
    /// restarts the host. It has no namespace; a read-only mount over it stops it (`EROFS`). The
    /// probe opens it and writes nothing.
    static let sysrq = Attack(
        "sysrq", "", "Opens /proc/sysrq-trigger, which can restart the machine.",
        stoppedBy: .overlay
    ) { _ throws(KernelError) in
        let proc = try openProc()
        guard exists("sysrq-trigger", in: proc) else {
            return .notTried("this kernel has no /proc/sysrq-trigger")
        }
        _ = try Descriptor.open("sysrq-trigger", O_WRONLY, at: proc.number)
        return .gotThrough("/proc/sysrq-trigger is open for writing")
    }

    /// Reads the kernel's log.
    ///
    /// It tells addresses, devices and other sandboxes' troubles, and there is one for all
    /// namespaces. `syslog(2)` wants `CAP_SYSLOG`, at least where kernel.dmesg_restrict is set.
    static let kernelLog = Attack(
        "dmesg", "", "Reads the kernel's log.", stoppedBy: .privileges
    ) { _ throws(KernelError) in
        var buffer = [CChar](repeating: 0, count: 1 << 16)
        let readAll: CInt = 3  // SYSLOG_ACTION_READ_ALL
        let count = klogctl(readAll, &buffer, CInt(buffer.count))
        guard count >= 0 else { throw KernelError("syslog", "the kernel's log", .current) }
        let line = firstLine(buffer.prefix(Int(count)).map { UInt8(bitPattern: $0) })
        return .gotThrough("\(count) bytes of the kernel's log: \(line)")
    }
}

private func exists(_ name: String, in proc: borrowing Descriptor) -> Bool {
    faccessat(proc.number, name, F_OK, 0) == 0
}

/// The first disk of /proc/partitions, as MAJOR:MINOR.
private func firstDisk() -> String? {
    guard let table = try? openProc().text("partitions") else { return nil }
    let rows = table.split(separator: "\n").map { $0.split(separator: " ") }
    return rows.first { $0.count == 4 && UInt32($0[0]) != nil }.map { "\($0[0]):\($0[1])" }
}

/// Tries each place where a node may be made and opened; what the last node met counts.
private func readBlockDevice(_ device: dev_t) throws(KernelError) -> [UInt8] {
    var refusal = KernelError("mknod", "a block device", .readOnly)
    var isMade = false
    for directory in ["/", "/dev/", "/tmp/", "/run/"] {
        let node = "\(directory).hull-probe-\(randomName())"
        guard mknod(node, S_IFBLK | 0o600, device) == 0 else {
            if !isMade { refusal = KernelError("mknod", node, .current) }
            continue
        }
        isMade = true
        defer { unlink(node) }
        do throws(KernelError) {
            return try Descriptor.open(node, O_RDONLY).read(upTo: 4096)
        } catch {
            refusal = error
        }
    }
    throw refusal
}
