import CLinux
import Glibc

/// Has the kernel run `program` before every system call of this process and its children.
/// See `seccomp(2)`, `SECCOMP_SET_MODE_FILTER`.
///
/// - Parameters:
///   - program: classic BPF, eight bytes an instruction.
///   - wantsListener: whether somebody is going to answer for calls that the program is unsure
///     of. See `seccomp_unotify(2)`.
/// - Returns: the listener, where one was wanted.
public func setSystemCallFilter(
    _ program: [UInt8], flags: UInt32 = 0, wantsListener: Bool = false, why: StaticString
) throws(KernelError) -> Descriptor? {
    let listening = wantsListener ? UInt32(linux_SECCOMP_FILTER_FLAG_NEW_LISTENER) : 0
    let number = try systemCall(
        "seccomp",
        [
            .symbol("SECCOMP_SET_MODE_FILTER"),
            .symbol(wantsListener ? "SECCOMP_FILTER_FLAG_NEW_LISTENER" : "\(flags)"),
            .symbol("{len=\(program.count / 8), filter=…}"),
        ],
        on: "a filter of \(program.count / 8) instructions", why: why
    ) {
        program.withUnsafeBytes {
            seccomp_set_filter(flags | listening, $0.baseAddress, program.count / 8)
        }
    }
    return wantsListener ? Descriptor(owning: number) : nil
}
