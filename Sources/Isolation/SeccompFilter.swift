import CLinux
import Glibc
import Kernel
import OCISpec

/// Who answers for the calls that a filter has somebody asked about. See `seccomp_unotify(2)`.
public struct CallSupervision: Sendable {
    /// The socket that it listens on for the filter's listener.
    public let socket: String
    /// What it is told beside it, of a sandbox whose process has this number.
    public let message: @Sendable (ProcessID) -> JSON

    /// - Parameters:
    ///   - socket: where it listens.
    ///   - message: what it is told.
    public init(at socket: String, telling message: @escaping @Sendable (ProcessID) -> JSON) {
        self.socket = socket
        self.message = message
    }
}

/// A filter on system calls. See `seccomp(2)`.
///
/// Most of the kernel's four hundred calls are of no use to an ordinary program, and every
/// hole that was ever found in a kernel was behind one. What the filter denies never gets there.
public final class SeccompFilter: Mechanism {
    /// Which profile.
    public enum Profile: Equatable, Sendable {
        /// Docker's.
        case standard
        /// The one in this file, in Docker's form or in that of the OCI.
        case file(String)
        /// This one, in either form.
        case given(JSON)
    }

    /// As the narrator calls it.
    public let name = "seccomp"
    private let profile: Profile
    private let capabilities: CapabilitySet
    private let cache: String
    private let needed: [String]
    private let supervisor: CallSupervision?
    private var program: [UInt8] = []
    private var flags: UInt32 = 0
    private var listener: CInt?
    private var child = ProcessID(rawValue: 0)

    /// - Parameters:
    ///   - capabilities: the container's: Docker's profile allows more to who has more.
    ///   - needed: the calls that are still to be made behind it.
    ///   - cache: the directory of compiled filters.
    ///   - supervisor: who answers for the calls that the profile has somebody asked about.
    public init(
        _ profile: Profile, for capabilities: CapabilitySet, needing needed: [String],
        cachedIn cache: String, supervisedBy supervisor: CallSupervision? = nil
    ) {
        self.supervisor = supervisor
        self.needed = needed
        self.profile = profile
        self.capabilities = capabilities
        self.cache = cache
    }

    // book: begin seccomp-prepare
    /// Gets the program, on the host: the profile is a file of the host's.
    public func prepare() throws(KernelError) {
        let text = try profile.text()
        let choices = join([String(capabilities.rawValue, radix: 16)] + needed, with: " ")
        flags = try profile.flags()
        let cache = SeccompCache(text, choices, in: cache)
        if let kept = cache.load() {
            program = kept
            return
        }
        let parsed = try Self.parse(text, profile.name)
        try check(parsed)
        var compiler = try SeccompCompiler(
            parsed, for: capabilities, named: profile.name, passesOverUnknown: profile.isGiven)
        program = try compiler.program()
        cache.store(program)
    }
    // book: end seccomp-prepare

    // book: begin seccomp-seal
    /// Hands the program to the kernel. It cannot be taken back.
    public func seal(_ process: SealedProcess) throws(KernelError) {
        listener = try setSystemCallFilter(
            program, flags: flags, wantsListener: supervisor != nil,
            why: "no call gets past this program any more")?.release()
    }
    // book: end seccomp-seal

    /// What the owner gets out of the sandbox, where somebody is to be asked.
    public var watch: CInt? { listener }

    /// The supervisor is told whom it is asked by.
    public func adopt(_ child: ProcessID) throws(KernelError) { self.child = child }

    /// Hands the listener on to the supervisor.
    public func attend(_ listener: consuming Descriptor) throws(KernelError) {
        guard let supervisor else { return }
        try sendDescriptor(
            listener, saying: supervisor.message(child).text(), to: supervisor.socket,
            why: "another program answers for the calls that the filter asks about")
    }

    /// Refuses what could not even start the command, or would wait for an answer from nobody.
    private func check(_ parsed: SeccompProfile) throws(KernelError) {
        let asks =
            parsed.rules.contains { $0.action == .notify } || parsed.defaultAction == .notify
        if asks && supervisor == nil {
            throw KernelError(
                "seccomp profile", "\(profile.name): SCMP_ACT_NOTIFY",
                Errno(rawValue: ENOTSUP), remedy: "Nobody is there to be asked.")
        }
        // Until it has sent away what the answers come through it would wait for one for ever.
        let early = ["sendmsg"] + needed.filter { $0 != "execve" && $0 != "exit_group" }
        for rule in parsed.rules where rule.action == .notify {
            guard let name = early.first(where: { rule.names.contains($0) }) else { continue }
            throw KernelError(
                "seccomp profile", "\(profile.name): SCMP_ACT_NOTIFY for \(name)",
                .invalidArgument,
                remedy: "The call is needed before anybody can be asked about it.")
        }
        if parsed.defaultAction == .allow || parsed.defaultAction == .log { return }
        let allowed = parsed.rules.filter { $0.action == .allow || $0.action == .log }
        for name in needed where !allowed.contains(where: { $0.names.contains(name) }) {
            throw KernelError(
                "seccomp profile", "\(profile.name): \(name)", .notPermitted,
                remedy: "Without it the command cannot be started: the profile has to allow "
                    + join(needed, with: ", ") + ".")
        }
    }

    private static func parse(_ text: [UInt8], _ name: String) throws(KernelError) -> SeccompProfile
    {
        do throws(SpecificationError) {
            return try SeccompProfile(JSONReader(try JSON.parse(text, from: name)))
        } catch {
            throw KernelError(
                "seccomp profile", name, .invalidArgument,
                remedy: "It is not one (\(error)).")
        }
    }

    /// The names in Docker's profile: the calls that there are, as far as anyone has asked.
    static var callsOfDefaultProfile: [String] {
        do { return try standardProfile().rules.flatMap(\.names) } catch { return [] }
    }

    /// Docker's profile.
    static func standardProfile() throws(KernelError) -> SeccompProfile {
        try parse(PackageResources.docker_default_seccomp_json, "default")
    }
}

extension SeccompFilter.Profile {
    /// What errors call it.
    fileprivate var name: String {
        switch self {
        case .standard: "default"
        case .file(let path): path
        case .given: "the configuration's"
        }
    }

    fileprivate var isGiven: Bool {
        if case .given = self { return true }
        return false
    }

    /// The flags that the profile asks for. See `seccomp(2)`.
    fileprivate func flags() throws(KernelError) -> UInt32 {
        // Docker's has none, and is not to be parsed where its program is at hand.
        guard case .given(let json) = self, case .array(let words)? = json["flags"] else {
            return 0
        }
        var flags: UInt32 = 0
        for word in words {
            switch word {
            case "SECCOMP_FILTER_FLAG_LOG": flags |= UInt32(linux_SECCOMP_FILTER_FLAG_LOG)
            case "SECCOMP_FILTER_FLAG_SPEC_ALLOW":
                flags |= UInt32(linux_SECCOMP_FILTER_FLAG_SPEC_ALLOW)
            case "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV":
                flags |= UInt32(linux_SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
            // For all threads, of which there is one.
            case "SECCOMP_FILTER_FLAG_TSYNC": break
            default:
                throw KernelError(
                    "seccomp flag", word.text(), .invalidArgument,
                    remedy: "`seccomp(2)` lists those that there are.")
            }
        }
        return flags
    }

    fileprivate func text() throws(KernelError) -> [UInt8] {
        switch self {
        case .standard: return PackageResources.docker_default_seccomp_json
        case .given(let json): return Array(json.text().utf8)
        case .file(let path):
            // A pipe or a device would keep us waiting.
            guard fileType(path) != .other else {
                throw KernelError(
                    "seccomp profile", path, .invalidArgument, remedy: "It has to be a file.")
            }
            do { return try readFile(path, limit: 4 << 20) } catch {
                throw error.renamed("seccomp profile", path).advising(
                    "It has to be a file on the host, in JSON.")
            }
        }
    }
}
