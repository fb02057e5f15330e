import Glibc
import Kernel

/// Which capabilities the command has, in the kernel's five sets. See `capabilities(7)`.
public struct CommandCapabilities: Equatable, Sendable {
    /// The most that any program in the sandbox can ever have.
    public var bounding: CapabilitySet
    /// What the command may use, where it starts as root.
    public var permitted: CapabilitySet
    /// What executed files may ask to keep.
    public var inheritable: CapabilitySet = []
    /// What the command has even where it is not root.
    public var ambient: CapabilitySet = []

    /// The same for the bounding and the permitted set, and nothing else: as Docker does it.
    public init(_ set: CapabilitySet) {
        bounding = set
        permitted = set
    }
}

/// The upper limit of what anything in the sandbox can ever be allowed.
///
/// A file with the set-user-ID bit, or with capabilities of its own, gives whoever executes it
/// more than he had; but never what is not in the bounding set.
public struct BoundingSet: Mechanism {
    /// As the narrator calls it.
    public let name = "bounding set"
    private let kept: CapabilitySet

    /// Keeps `kept` and drops all others that the kernel has.
    public init(keeping kept: CapabilitySet) { self.kept = kept }

    // book: begin bounding-seal
    /// While `CAP_SETPCAP` is still there.
    public func seal(_ process: SealedProcess) throws(KernelError) {
        for number in CapabilitySet.all.subtracting(kept).numbers
        where isInBoundingSet(number) {
            try dropFromBoundingSet(
                number, named: CapabilitySet.name(of: number),
                why: "no program in here can ever get it back")
        }
    }
    // book: end bounding-seal
}

/// The capabilities that the command starts with.
public struct Capabilities: Mechanism {
    /// As the narrator calls it.
    public let name = "capabilities"
    private let sets: CommandCapabilities

    /// Leaves the command with `sets`.
    public init(_ sets: CommandCapabilities) { self.sets = sets }

    // book: begin capabilities-seal
    /// After the change of user, which needs some of those that go.
    public func seal(_ process: SealedProcess) throws(KernelError) {
        try clearAmbientSet(why: "what the host's user had set there ends here")
        // Nobody can be given what we do not have ourselves.
        let ours = try ProcessCapabilities.current().permitted
        // Who is not root would lose the others by executing the command; but a file that asks
        // for one could keep it then, even with no_new_privs.
        let wanted = geteuid() == 0 ? sets.permitted : []
        let kept = wanted.union(sets.ambient).intersection(ours)
        try setCapabilities(
            ProcessCapabilities(
                effective: kept, permitted: kept,
                inheritable: sets.inheritable.union(sets.ambient).intersection(ours)),
            naming: CapabilitySet.name, why: "the command needs no more of root's power")
        for number in sets.ambient.intersection(ours).numbers {
            try raiseAmbient(
                number, named: CapabilitySet.name(of: number),
                why: "asked for, also without being root")
        }
    }
    // book: end capabilities-seal
}
