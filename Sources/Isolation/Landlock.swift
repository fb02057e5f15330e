import CLinux
import Glibc
import Kernel

/// What of the file system may be used at all (`--landlock ro=/usr,rw=/tmp`). See `landlock(7)`.
///
/// One more wall behind the others: it needs no root, asks nobody's permission, and holds
/// whatever the mounts and the files' own modes say. What no rule names is out of reach.
public struct Landlock: Mechanism {
    /// A rule: what may be done below a path of the sandbox.
    public struct Rule: Equatable, Sendable {
        /// The path, absolute.
        public let path: String
        /// Whether there is more to it than reading and executing.
        public let isWritable: Bool
    }

    /// As the narrator calls it.
    public let name = "landlock"
    private let rules: [Rule]

    /// Allows what `rules` say and nothing else.
    public init(_ rules: [Rule]) { self.rules = rules }

    // book: begin landlock-prepare
    /// Asks the kernel before anything is built: older ones have less of it, or nothing.
    public func prepare() throws(KernelError) {
        do { _ = try landlockABI() } catch {
            throw error.advising("This kernel runs without it; `hull doctor` says what is missing.")
        }
    }
    // book: end landlock-prepare

    // book: begin landlock-seal
    /// Names what is allowed and gives up the rest.
    public func seal(_ process: SealedProcess) throws(KernelError) {
        let everything = LandlockAccess.all(abi: try landlockABI())
        let ruleset = try makeLandlockRuleset(
            forbidding: everything, why: "all that this kernel knows how to forbid")
        for rule in rules {
            let file: Descriptor
            do { file = try Descriptor.open(rule.path, CInt(linux_O_PATH)) } catch {
                throw error.renamed("landlock", rule.path).advising(
                    "The path counts inside the sandbox and has to be there.")
            }
            var access = rule.isWritable ? everything : .read
            if fileType(rule.path) != .directory { access.formIntersection(.ofFiles) }
            try allow(
                access.intersection(everything), below: file, in: ruleset, path: rule.path,
                why: "asked for")
        }
        try restrictSelf(to: ruleset, why: "what no rule names is out of reach from here on")
    }
    // book: end landlock-seal
}

extension Landlock.Rule {
    /// Reads `ro=PATH` and `rw=PATH`, separated by commas.
    /// - Throws: `EINVAL` where it is something else.
    static func list(parsing text: String) throws(KernelError) -> [Landlock.Rule] {
        var rules: [Landlock.Rule] = []
        for word in split(text, at: ",") {
            let path = String(word.dropFirst(3))
            guard word.hasPrefix("ro=") || word.hasPrefix("rw="), path.hasPrefix("/") else {
                throw KernelError(
                    "landlock", text.isEmpty ? "\"\"" : text, .invalidArgument,
                    remedy: "Write ro=PATH or rw=PATH, PATH absolute, with commas between them.")
            }
            rules.append(Landlock.Rule(path: path, isWritable: word.hasPrefix("rw=")))
        }
        return rules
    }
}
