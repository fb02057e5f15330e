import CLinux
import Glibc

/// Asks the kernel's security module to put the next program that this process executes under
/// `label`. See `proc_pid_attr(5)`.
///
/// - Parameter paths: below /proc/self/attr, the first that is there counts.
public func setExecutionLabel(
    _ label: String, at paths: [String], why: StaticString
) throws(KernelError) {
    for path in paths where fileType("/proc/self/attr/" + path) != nil {
        let file = try Descriptor.open("/proc/self/attr/" + path, O_WRONLY)
        // An image with a volume on /proc could have us write into a file of its own, and run
        // without a label (CVE-2019-16884).
        guard file_system_magic(file.number) == linux_PROC_SUPER_MAGIC else {
            throw KernelError("label", "/proc/self/attr/" + path, Errno(rawValue: EPERM))
        }
        let number = file.number
        try systemCall(
            "write", [.number(Int(number)), .text(label), .number(label.utf8.count)], on: label,
            why: why
        ) { Glibc.write(number, label, label.utf8.count) }
        return
    }
    throw KernelError("label", label, Errno(rawValue: EOPNOTSUPP))
}
