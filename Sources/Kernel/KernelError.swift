/// Something that could not be done: which operation, on what, why, and what to do about it.
///
/// It is built where the object's name is still known, and it is one line when
/// it reaches the user:
///
///     chroot /nowhere: No such file or directory (ENOENT). Give an existing directory as ROOTFS.
public struct KernelError: Error, Equatable, Sendable {
    /// What was tried: the name of the system call, or of a step in the user's own terms.
    public var operation: String
    /// What it was tried on: a path, a process, an argument.
    public var object: String
    /// What the kernel answered.
    public var errno: Errno
    /// What the user can do. Empty where the meaning says it all.
    public var remedy: String
    /// With which code the program ends. See ``ExitCode``.
    public var exitCode: Int32

    /// An error of `operation` on `object`; without a `remedy`, the one that `errno` usually has.
    public init(
        _ operation: String, _ object: String, _ errno: Errno, remedy: String? = nil,
        exitCode: Int32 = ExitCode.ours
    ) {
        self.operation = operation
        self.object = object
        self.errno = errno
        self.remedy = remedy ?? errno.usualRemedy
        self.exitCode = exitCode
    }

    /// The same error with advice that fits the case.
    public func advising(_ remedy: String) -> KernelError {
        var error = self
        error.remedy = remedy
        return error
    }

    /// The same error in the user's terms instead of the kernel's.
    public func renamed(_ operation: String, _ object: String) -> KernelError {
        var error = self
        error.operation = operation
        error.object = object
        return error
    }
}

extension KernelError: CustomStringConvertible {
    /// The one line that the user sees.
    public var description: String {
        let subject = object.isEmpty ? operation : "\(operation) \(onOneLine(object))"
        let reason = "\(subject): \(errno.meaning) (\(errno.name))"
        return remedy.isEmpty ? reason : "\(reason). \(onOneLine(remedy))"
    }
}

/// Names may hold anything; a line break or a terminal's escape sequence is shown as `?`.
private func onOneLine(_ text: String) -> String {
    var line = ""
    for scalar in text.unicodeScalars {
        let isControl = scalar.value < 32 || (127..<160).contains(scalar.value)
        line.unicodeScalars.append(isControl ? "?" : scalar)
    }
    return line
}

/// The exit codes of `docker run`, which every program here follows.
///
/// A sandboxed program's own code is passed on; one killed by signal n gives 128 + n.
public enum ExitCode {
    /// We failed: bad arguments, no privileges, no such image.
    public static let ours: Int32 = 125
    /// The command is there and cannot be executed.
    public static let cannotExecute: Int32 = 126
    /// The command is not there.
    public static let notFound: Int32 = 127
}

extension Errno {
    /// What helps against this error whatever the operation was.
    fileprivate var usualRemedy: String {
        switch self {
        case .notPermitted, .accessDenied:
            "Run it as root (sudo); `hull doctor` tells what works without."
        case .noSpace: "Free some space there (see `df -h`), or set HULL_ROOT to a roomier place."
        case .readOnly: "Set HULL_ROOT to a directory that can be written."
        case .fileExists: "Something else has that name: remove it, or choose another."
        case .notDirectory: "Something on that path is no directory: choose another."
        case .notImplemented: "This kernel is too old; `hull doctor` tells what it lacks."
        case .noSuchFile: "Is the path right, and is what it is in there?"
        default: ""
        }
    }
}
