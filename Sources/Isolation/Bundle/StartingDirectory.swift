import CLinux
import Glibc
import Kernel

/// Where the process of a bundle starts. See runtime-spec, `config.md`, "Process", `cwd`.
public final class StartingDirectory: Mechanism {
    /// As the narrator calls it.
    public let name = "working directory"
    private let path: String
    private var isThere = false

    /// - Parameter path: absolute, in the sandbox.
    public init(_ path: String) { self.path = path }

    /// Goes there as root, who may be the only one that can.
    public func enter() throws(KernelError) {
        do { try change() } catch {
            // Or root may be the one who can't: the files may be a user's, on another machine.
            guard error.errno == .accessDenied else { throw error }
        }
    }

    /// Goes there as the user, where root could not.
    public func launch() throws(KernelError) {
        if !isThere { try change() }
    }

    private func change() throws(KernelError) {
        do { try changeDirectory(path, why: "where the command starts") } catch {
            throw error.renamed("chdir to cwd", "(\"\(path)\") set in config.json")
        }
        // A path such as /proc/self/fd/7 may lead to a directory of the host's that somebody left
        // open (CVE-2024-21626); the kernel shows it as unreachable.
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard working_directory(&buffer, buffer.count) > 0, buffer[0] == CChar(47) else {
            throw KernelError(
                "chdir to cwd", "(\"\(path)\") set in config.json", .accessDenied,
                remedy: "It is outside of the container's root.")
        }
        isThere = true
    }
}

/// The same directory, made where the image has none.
public struct MadeStartingDirectory: Mechanism {
    /// As the narrator calls it.
    public let name = "working directory, made"
    private let path: String

    /// - Parameter path: absolute, in the sandbox.
    public init(_ path: String) { self.path = path }

    /// In the new root, as long as that can be written.
    public func enter() throws(KernelError) {
        do { try makeDirectories(path, why: "the command is to start in it") } catch {
            // Going there says better what is wrong with it.
            guard error.errno == .readOnly || error.errno == .fileExists else { throw error }
        }
    }
}
