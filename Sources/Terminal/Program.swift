import CLinux
import Glibc
import Kernel

/// The frame round every program: secure descriptors, one line for an error, the exit code.
public enum Program {
    /// Runs `body` with the program's arguments and ends the process with the code it returns.
    ///
    /// The first argument is the program's name without its directory.
    public static func run(_ body: ([String]) throws(KernelError) -> Int32) -> Never {
        return_lent_environment()
        // A reader who goes away must not keep us from clearing up. The command gets it back.
        signal(SIGPIPE, SIG_IGN)
        // The modes that we ask for are meant: a sandbox's users pass through our directories.
        umask(0o022)
        var arguments = arguments
        if arguments.isEmpty { arguments = [name] } else { arguments[0] = name }
        do {
            let code = try body(arguments)
            exit(code)
        } catch {
            fail(error, in: name)
        }
    }

    /// As they were given. Not from CommandLine, which is empty in a root file system without
    /// /proc.
    public static var arguments: [String] {
        (0..<program_argument_count()).map { index in
            program_argument(index).map { String(cString: $0) } ?? ""
        }
    }

    /// What it was called by, without a directory.
    public static var name: String {
        arguments.first.flatMap { split($0, at: "/").last } ?? "hull"
    }

    /// Says what went wrong and does not count.
    public static func warn(_ error: KernelError) {
        write(name + ": warning: " + error.description + "\n", to: 2)
    }

    /// Writes the error's one line and ends the process with its exit code.
    public static func fail(_ error: KernelError, in name: String) -> Never {
        write(name + ": " + error.description + "\n", to: 2)
        exit(error.exitCode)
    }

    /// Writes text to a descriptor of this process; a reader who has gone is no error.
    public static func write(_ text: String, to descriptor: CInt = 1) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let put = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if put <= 0 { return }
            rest = rest.dropFirst(put)
        }
    }

    /// Opens /dev/null for each of the standard descriptors that is closed.
    ///
    /// The next file opened would get its number otherwise, and what is meant for standard
    /// output would be written into it.
    /// - Returns: whether standard input was open.
    @discardableResult
    public static func secureStandardDescriptors() -> Bool {
        let inputWasOpen = fcntl(0, F_GETFD) >= 0
        for descriptor: CInt in 0...2 where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number, which is the one that was found closed.
            _ = open("/dev/null", O_RDWR)
            secured.append(descriptor)
        }
        return inputWasOpen
    }

    // A program has one thread when it starts.
    nonisolated(unsafe) private static var secured: [CInt] = []

    /// Has those that were closed be closed again where this program executes itself anew.
    public static func forgetSecuredDescriptors() {
        for descriptor in secured { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    }
}
