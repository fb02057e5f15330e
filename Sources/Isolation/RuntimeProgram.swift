import CLinux
import Glibc
import Kernel
import Terminal

/// The program file that a sandbox is made by, kept from being overwritten from inside.
///
/// Between `clone3(2)` and `execve(2)` the sandbox runs our program, and it can have itself run
/// it once more: an image whose command is /proc/self/exe does. /proc/PID/exe of such a process
/// leads to the host's file, through the host's mount, past all roots. Root in a sandbox needs
/// only to open it for writing once it is not busy, and the next sandbox is made by the
/// attacker's program, as root on the host. That was CVE-2019-5736.
///
/// So the program does not run from the host's mount of it. It makes a copy of that mount,
/// attached nowhere and read-only, and executes itself from there: whoever gets hold of the
/// file now gets `EROFS`. A copy of the file in sealed memory would do too, at the price of
/// copying ten megabytes for each sandbox; it is what is left to who may not mount.
public enum RuntimeProgram {
    // book: begin runtime-protect
    /// Executes the program again from where it cannot be written; returns if it already is.
    public static func protect() throws(KernelError) {
        // hull and hull-runtime have seen to it before Swift began; see Sources/CLinux/EarlyStart.c.
        if program_is_out_of_reach() != 0 { return restoreName() }
        guard fileType("/proc/self/exe") != nil else { return }
        let program = try Descriptor.open("/proc/self/exe", O_RDONLY)
        if isOnReadOnlyMount(program) || isSealed(program) { return restoreName() }
        // Nothing to protect from someone who could not write it outside either.
        if access("/proc/self/exe", W_OK) != 0 { return }
        Narrator.chapter("program", "go out of reach")
        Program.forgetSecuredDescriptors()
        try execute(try copy(of: program), Program.arguments, why: "the same program, out of reach")
    }
    // book: end runtime-protect

    /// Executing a descriptor has made that descriptor's number our name.
    private static func restoreName() { setProcessName(Program.name) }

    private static func copy(of program: borrowing Descriptor) throws(KernelError) -> Descriptor {
        do {
            let tree = try cloneMount(
                at: program, on: "our own program", why: "a second way to our own program")
            try makeReadOnly(tree, why: "through which it cannot be written")
            return tree
        } catch {
            return try sealedCopy(of: program, why: "not allowed to mount: a copy in memory")
        }
    }
}
