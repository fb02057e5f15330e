import CLinux
import Glibc
import Kernel

/// Namespaces that are there already, given by their paths. See `setns(2)`.
///
/// So the containers of a pod share a network, and a debugger gets into a container. What is
/// joined is not the sandbox's own: it stays when the sandbox goes.
public final class JoinedNamespaces: Mechanism {
    /// As the narrator calls it.
    public let name = "joined namespaces"
    private let paths: [(kind: Namespaces, path: String)]
    private let isBornAsUser: Bool
    private var open: [OpenNamespace] = []

    /// - Parameters:
    ///   - paths: such as `/run/netns/NAME` or `/proc/PID/ns/net`, each with its kind.
    ///   - isBornAsUser: whether the sandbox is born in a new user namespace, whose root may
    ///     join nothing that is the host's.
    public init(_ paths: [(kind: Namespaces, path: String)], isBornAsUser: Bool = false) {
        self.paths = paths
        self.isBornAsUser = isBornAsUser
    }

    /// Opens them while the host's paths are at hand.
    /// - Throws: `EINVAL` where one is of another kind.
    public func prepare() throws(KernelError) {
        for (kind, path) in paths {
            let namespace: Descriptor
            do { namespace = try Descriptor.open(path, O_RDONLY) } catch {
                throw error.renamed("join namespace", path).advising(
                    "It has to be a namespace's file, such as /proc/PID/ns/net.")
            }
            guard namespaceKind(of: namespace) == kind else {
                throw KernelError(
                    "join namespace", path, .invalidArgument,
                    remedy: "It is no namespace of that kind (\(kind.symbols)).")
            }
            // To enter the user namespace that one is in is an error, and no use.
            if kind == .user, isOwnNamespace(namespace, "user") { continue }
            open.append(OpenNamespace(kind, namespace.release()))
        }
    }

    /// All of them.
    public var descriptors: [CInt] { open.map(\.number) }

    private var joinsUserNamespace: Bool { open.contains { $0.kind == .user } }

    // book: begin birthplaces
    /// Of process numbers, the one that a process is born with stays. And what is made together
    /// with the sandbox is to belong to the user namespace.
    public var birthplaces: [OpenNamespace] {
        if joinsUserNamespace { return open }
        return open.filter { $0.kind == .pid || isBornAsUser && $0.kind != .mount }
    }
    // book: end birthplaces

    /// Moves into those that it was not born in.
    public func enter() throws(KernelError) {
        // Nobody who is there already may look into it before it is the command.
        becomeUndumpable()
        guard joinsUserNamespace else {
            let born = birthplaces.map(\.number)
            return try enterNamespaces(open.filter { !born.contains($0.number) })
        }
        try becomeRootOfUserNamespace()
    }

    /// Lets go of them, which may be the last that holds one.
    public func release() throws(KernelError) {
        for namespace in open { close(namespace.number) }
        open = []
    }
}
