import Kernel

/// No open file but standard input, output and error. See `close_range(2)`.
///
/// A descriptor of a host's directory is a way out of any root: `fchdir(2)` needs no path.
/// Ours are close-on-exec each; whoever started us may have left others open (CVE-2024-21626
/// was one such).
public struct ClosedDescriptors: Mechanism {
    /// As the narrator calls it.
    public let name = "descriptors"

    /// Nothing has to be chosen.
    public init() {}

    // book: begin descriptors-enter
    /// Marks them to be closed by `execve(2)`: until then the handshake needs its own.
    public func enter() throws(KernelError) {
        try closeDescriptorsOnExecution(
            from: 3, why: "whatever else is open leads past the new root")
    }
    // book: end descriptors-enter
}
