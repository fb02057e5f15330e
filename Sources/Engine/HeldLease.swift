import Images
import Kernel

/// A ``StoreLease`` that goes from hand to hand, given back when nobody has it any more.
public final class HeldLease: Sendable {
    private let lease: StoreLease

    /// Takes a lease on the store.
    public init(_ store: ContentStore) throws(KernelError) { lease = try store.hold() }
}
