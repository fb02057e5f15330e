import Kernel

/// Where the command starts (`-w`). See `chdir(2)`.
public struct WorkingDirectory: Mechanism {
    /// As the narrator calls it.
    public let name = "working directory"
    private let path: String

    /// Starts the command in `path`, which is made where it is missing.
    /// - Throws: `EINVAL` where the path is not absolute.
    public init(_ path: String) throws(KernelError) {
        guard path.hasPrefix("/") else {
            throw KernelError(
                "working directory", path.isEmpty ? "\"\"" : path, .invalidArgument,
                remedy: "Give an absolute path: it counts inside the sandbox.")
        }
        self.path = path
    }

    /// Before the root becomes read-only, since the directory may have to be made.
    public func enter() throws(KernelError) {
        try makeDirectories(path, why: "the command is to start in it")
        try changeDirectory(path, why: "where the command starts")
    }
}
