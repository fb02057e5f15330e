import CLinux
import Glibc

/// Whether an open file was opened through a mount that is read-only. See `fstatvfs(3)`.
public func isOnReadOnlyMount(_ file: borrowing Descriptor) -> Bool {
    is_on_read_only_mount(file.number) == 1
}

/// Whether an open file lies in memory and can never be written again. See `memfd_create(2)`.
public func isSealed(_ file: borrowing Descriptor) -> Bool {
    let seals = get_seals(file.number)
    return seals > 0 && seals & CInt(linux_F_SEAL_WRITE) != 0
}

/// A copy of an open file in memory that nobody can write. See `fcntl(2)`, "File Sealing".
public func sealedCopy(
    of file: borrowing Descriptor, why: StaticString
) throws(KernelError) -> Descriptor {
    let number = try systemCall(
        "memfd_create", [.text("hull"), .symbol("MFD_CLOEXEC|MFD_ALLOW_SEALING")],
        on: "a file in memory", why: why
    ) { memfd_create("hull", 3) }
    let copy = Descriptor(owning: number)
    var offset: off_t = 0
    while true {
        let count = sendfile(copy.number, file.number, &offset, 1 << 30)
        if count < 0 { throw KernelError("sendfile", "our own program", .current) }
        if count == 0 { break }
    }
    if add_all_seals(copy.number) < 0 { throw KernelError("fcntl", "F_ADD_SEALS", .current) }
    return copy
}

/// Replaces the program of this process by an open file. See `execveat(2)`.
public func execute(
    _ file: borrowing Descriptor, _ arguments: [String], why: StaticString
) throws(KernelError) {
    let number = file.number
    if Narrator.isOn {
        // Told before: nobody is left afterwards to tell it.
        Narrator.record(
            Event(
                call: "execveat",
                arguments: [
                    .number(Int(number)), .text(""),
                    .symbol("[\(join(arguments.map { Argument.text($0).rendered }, with: ", "))]"),
                    .symbol("environ"), .symbol("AT_EMPTY_PATH"),
                ], result: 0, errno: nil, why: why, shell: nil))
    }
    var argv = arguments.map { strdup($0) } + [nil]
    _ = execute_descriptor(number, &argv, environ)
    throw KernelError("execveat", "our own program", .current)
}

/// What `ps` calls this process. See `prctl(2)`, `PR_SET_NAME`.
public func setProcessName(_ name: String) {
    name.withCString { _ = prctl_set(CInt(linux_PR_SET_NAME), UInt(bitPattern: $0)) }
}
