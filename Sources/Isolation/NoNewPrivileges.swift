import Kernel

/// No program in the sandbox can give more than the command started with.
///
/// Set-user-ID bits and file capabilities count for nothing from here on, for all that the
/// command will ever start. It cannot be undone. See `prctl(2)`, `PR_SET_NO_NEW_PRIVS`.
public struct NoNewPrivileges: Mechanism {
    /// As the narrator calls it.
    public let name = "no new privileges"

    /// Nothing has to be chosen.
    public init() {}

    // book: begin nnp-seal
    /// One bit, for good.
    public func seal(_ process: SealedProcess) throws(KernelError) {
        try setNoNewPrivileges(why: "su and sudo give nothing any more")
    }
    // book: end nnp-seal
}
