import Kernel

/// A limit that was asked for: `--ulimit nofile=1024:2048`.
public struct RequestedLimit: Equatable, Sendable {
    let resource: LimitedResource
    let limit: ResourceLimit

    /// Reads `NAME=SOFT` or `NAME=SOFT:HARD`, each a number or `unlimited`.
    /// - Throws: `EINVAL` where it is neither, or where SOFT is more than HARD.
    public init(parsing text: String) throws(KernelError) {
        let parts = split(text, at: "=")
        let all = LimitedResource.allCases
        guard let resource = all.first(where: { $0.name == parts[0] }) else {
            throw KernelError(
                "ulimit", text.isEmpty ? "\"\"" : text, .invalidArgument,
                remedy: Suggestions.text(
                    for: parts[0], among: all.map(\.name),
                    otherwise: "The limits are \(join(all.map(\.name), with: ", "))."))
        }
        let values = parts.count == 2 ? split(parts[1], at: ":").map(Self.number) : []
        guard let soft = values.first ?? nil, let hard = values.last ?? nil, values.count <= 2,
            soft <= hard
        else {
            throw KernelError(
                "ulimit", text, .invalidArgument,
                remedy: "Write \(parts[0])=SOFT or \(parts[0])=SOFT:HARD, SOFT not above HARD,"
                    + " each a number or unlimited.")
        }
        self.resource = resource
        limit = ResourceLimit(soft: soft, hard: hard)
    }

    /// - Parameter name: as `getrlimit(2)` has it, such as `RLIMIT_NOFILE`.
    /// - Throws: `EINVAL` where there is no such limit, or SOFT is more than HARD.
    public init(named name: String, soft: UInt64, hard: UInt64) throws(KernelError) {
        let known = LimitedResource.allCases.first { "RLIMIT_" + $0.name.uppercased() == name }
        guard let known, soft <= hard else {
            throw KernelError(
                "rlimit", name, .invalidArgument,
                remedy: known == nil
                    ? "`getrlimit(2)` lists those that there are."
                    : "The soft limit, \(soft), must not be above the hard one, \(hard).")
        }
        resource = known
        limit = ResourceLimit(soft: soft, hard: hard)
    }

    private static func number(_ text: String) -> UInt64? {
        if text == "unlimited" || text == "-1" { return ResourceLimit.unlimited }
        return UInt64(text)
    }
}

/// What each process of the sandbox may use of this and that (`--ulimit`). See `getrlimit(2)`.
///
/// Older than cgroups and weaker: they count for each process alone, and `nproc` for all
/// processes of a user, whichever sandbox they are in.
public struct ProcessLimits: Mechanism {
    /// As the narrator calls it.
    public let name = "limits"
    private let requests: [RequestedLimit]

    /// Sets these.
    public init(_ requests: [RequestedLimit]) { self.requests = requests }

    // book: begin limits-seal
    /// As late as possible, because they count for us too; and before the capabilities go.
    public func seal(_ process: SealedProcess) throws(KernelError) {
        for request in requests {
            do {
                try setResourceLimit(
                    request.resource, request.limit, why: "for each process of the sandbox")
            } catch  where error.errno == .notPermitted {
                let hard = try resourceLimit(request.resource).hard
                throw error.renamed("ulimit", request.resource.name).advising(
                    "More than \(hard) needs CAP_SYS_RESOURCE, which we lack ourselves.")
            }
        }
    }
    // book: end limits-seal
}
