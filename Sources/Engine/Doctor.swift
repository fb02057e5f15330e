import Glibc
import Isolation

/// Looks at this machine and says what Hull can do on it.
///
/// What can be tried is tried, in a child whose namespaces go with it: a kernel that lists a
/// feature may still refuse it to this user. Nothing stays on the machine.
public enum Doctor {
    /// Every check, in the order of the stages.
    public static func examine(_ state: StateDirectories) -> [Finding] {
        let isRoot = geteuid() == 0
        return [user(isRoot), capabilities(isRoot), kernelVersion()]
            + namespaces(isRoot) + userNamespaceLimits()
            + [overlayFilesystem()] + storage(state, isRoot)
            + network(isRoot) + forwarding()
            + [subordinateIDs(isRoot)]
            + controlGroups()
            + [seccomp(), landlock(), securityModule()]
            + helperPrograms(isRoot)
    }
}

/// What one check found.
public struct Finding: Sendable {
    /// How good that is.
    public enum Verdict: String, Sendable {
        /// Works.
        case ok
        /// Something later, or something optional, will not work.
        case warning = "warn"
        /// Does not work.
        case missing
    }

    /// What was checked.
    public let check: String
    /// How good it is.
    public let verdict: Verdict
    /// What was found, in a few words.
    public let detail: String
    /// What the user cannot do; empty where all is well.
    public let cost: String
    /// How to get it; empty where all is well.
    public let remedy: String
    /// Whether the stages and `hull run` need it.
    public let isNeeded: Bool

    /// Nothing to complain of.
    static func ok(_ check: String, _ detail: String) -> Finding {
        Finding(
            check: check, verdict: .ok, detail: detail, cost: "", remedy: "", isNeeded: false)
    }

    /// Something that the stages do without.
    static func warning(
        _ check: String, _ detail: String, costs cost: String, remedy: String
    ) -> Finding {
        Finding(
            check: check, verdict: .warning, detail: detail, cost: cost, remedy: remedy,
            isNeeded: false)
    }

    /// Something that is not there at all.
    static func missing(
        _ check: String, _ detail: String, costs cost: String, remedy: String,
        isNeeded: Bool = false
    ) -> Finding {
        Finding(
            check: check, verdict: .missing, detail: detail, cost: cost, remedy: remedy,
            isNeeded: isNeeded)
    }

    /// Whether this alone keeps the stages and `hull run` from working.
    public var isFatal: Bool { isNeeded && verdict == .missing }
}
