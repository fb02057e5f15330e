import Kernel

/// No open file but standard input, output and error. See `close_range(2)`.
///
/// A descriptor of a host's directory is a way out of any root: `fchdir(2)` needs no path.
/// Ours are close-on-exec each; whoever started us may have left others open (CVE-2024-21626
/// was one such).
public struct ClosedDescriptors: Mechanism {
    /// As the narrator calls it.
    public let name = "descriptors"

    /// Nothing of it is the host's to do.
    public let entersEarly = true

    /// Nothing has to be chosen.
    public init() {}

    // book: begin descriptors-closed
    /// Closed at birth, all but those that a mechanism or the handshake still needs.
    ///
    /// Not only at `execve(2)`: until then paths of the image are looked up, and
    /// /proc/self/fd/N leads wherever descriptor N does (CVE-2024-21626).
    public let closesDescriptors = true
    // book: end descriptors-closed
}
