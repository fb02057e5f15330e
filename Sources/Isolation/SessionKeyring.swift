import CLinux
import Glibc
import Kernel

/// A session keyring of its own. See `keyrings(7)`.
///
/// The kernel keeps keys for users: passwords of network file systems, tickets, disk keys. No
/// namespace holds them apart, and a keyring is handed down from parent to child. A new one
/// without a name is nobody else's; one with a name could be joined by whoever knows it.
public struct SessionKeyring: Mechanism {
    /// As the narrator calls it.
    public let name = "keyring"

    /// Nothing has to be chosen.
    public init() {}

    // book: begin keyring-enter
    /// Leaves the host's keyring. A kernel without keyrings has nothing to leave.
    public func enter() throws(KernelError) {
        do {
            try joinNewSessionKeyring(why: "keys of whoever started us are not for the sandbox")
        } catch {
            guard error.errno == .notImplemented else { throw error }
        }
    }
    // book: end keyring-enter
}
