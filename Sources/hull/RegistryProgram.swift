import Glibc
import Isolation
import Kernel
import OCISpec
import Terminal

/// The program `stage09-registry`, which stands beside this one and has what this one may never
/// have: threads.
enum RegistryProgram {
    /// The commands that are its own.
    static let commands = ["pull", "push", "login", "logout"]

    private static let name = "stage09-registry"

    /// Becomes it. The words are its arguments as they are. See `execv(3)`.
    static func become(_ words: [String]) throws(KernelError) -> Int32 {
        let path = try path()
        // Under our name: that is what its errors begin with.
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("hull")]
        arguments += words.map { strdup($0) } + [nil]
        signal(SIGPIPE, SIG_DFL)
        execv(path, &arguments)
        throw missing(path, .current)
    }

    /// Pulls an image into the store that `state` is, and waits until it is here.
    ///
    /// - Throws: where it failed; it has said why itself.
    static func pull(
        _ image: String, for platform: Platform?, _ state: StateDirectories
    ) throws(KernelError) {
        // An ordinary user is root by now, and would be taken for the machine's.
        setenv("HULL_ROOT", state.root, 1)
        defer { unsetenv("HULL_ROOT") }
        let path = try path()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // Standard output is the container's.
        posix_spawn_file_actions_adddup2(&actions, 2, 1)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        var words = ["hull", "pull"]
        if let platform { words += ["--platform", platform.description] }
        var arguments = (words + ["--", image]).map { strdup($0) } + [nil]
        defer { for word in arguments { free(word) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, path, &actions, nil, &arguments, environ)
        guard code == 0 else { throw missing(path, Errno(rawValue: code)) }
        guard try wait(for: ProcessID(rawValue: child)).code == 0 else {
            throw KernelError(
                "find image", image, .noSuchFile, remedy: "It is not here and could not be pulled.")
        }
    }

    /// It stands beside this program. Which may run from where nobody is beside it, called "/", or
    /// from memory (see ``RuntimeProgram``): then it is looked for as whoever called it has found it.
    private static func path() throws(KernelError) -> String {
        let searched = getenv("PATH").map { ["PATH=" + String(cString: $0)] } ?? []
        let called = candidates(for: Program.arguments.first ?? "", in: searched)
        for candidate in ["/proc/self/exe"] + called {
            guard let path = try? resolvedPath(candidate), path != "/", fileType(path) == .regular
            else { continue }
            return path[...(path.lastIndex(of: "/") ?? path.startIndex)] + name
        }
        throw missing(name, .noSuchFile)
    }

    private static func missing(_ path: String, _ errno: Errno) -> KernelError {
        KernelError(
            "execute", path, errno,
            remedy: "That program does what needs registries; it belongs beside hull.")
    }
}
