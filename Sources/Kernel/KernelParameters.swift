import Glibc

/// A setting of the kernel; nil where this kernel has none of that name. See `proc(5)`, /proc/sys.
///
/// - Parameter name: with slashes, such as `net/ipv4/ip_forward`.
public func kernelParameter(_ name: String) -> String? {
    do {
        return String(try readText("/proc/sys/" + name).prefix { $0 != "\n" })
    } catch {
        return nil
    }
}

/// Changes a setting of the kernel. Those below `net` belong to the network namespace.
/// - Throws: `ENOENT` where this kernel has none of that name.
public func setKernelParameter(
    _ name: String, to value: String, why: StaticString
) throws(KernelError) {
    let path = "/proc/sys/" + name
    let file = try Descriptor.open(path, O_WRONLY)
    let number = file.number
    try systemCall(
        "write", [.number(Int(number)), .text(value), .number(value.utf8.count)], on: path,
        why: why, shell: "echo \(quoteShell(value)) > \(quoteShell(path))"
    ) { Glibc.write(number, value, value.utf8.count) }
}

/// What differs from one start of the machine to the next. See `random(4)`, "boot_id".
public func bootID() throws(KernelError) -> String {
    split(try readText("/proc/sys/kernel/random/boot_id"), at: "\n")[0]
}
