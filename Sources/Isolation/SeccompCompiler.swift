import CLibseccomp
import CLinux
import Glibc
import Kernel
import OCISpec

/// Makes the program that the kernel runs before every system call out of a profile.
///
/// The language is classic BPF: load, compare, jump forward, return. libseccomp writes it, for
/// every architecture that the machine can run: a 64-bit kernel takes 32-bit calls too, under
/// other numbers, and a filter that forgets them can be walked round. See `seccomp_init(3)`.
struct SeccompCompiler: ~Copyable {
    private let context: scmp_filter_ctx
    private let profile: SeccompProfile
    private let capabilities: CapabilitySet
    /// What errors call the profile.
    private let name: String
    private let passesOverUnknown: Bool
    private var lastNumber: CInt = 0

    /// - Parameters:
    ///   - capabilities: the container's, which Docker's conditions ask for.
    ///   - passesOverUnknown: whether calls that libseccomp does not know are no error: a profile
    ///     that an engine has made is meant for every machine.
    init(
        _ profile: SeccompProfile, for capabilities: CapabilitySet, named name: String,
        passesOverUnknown: Bool = false
    ) throws(KernelError) {
        self.passesOverUnknown = passesOverUnknown
        guard let context = seccomp_init(profile.defaultAction.number) else {
            throw KernelError("seccomp_init", name, .invalidArgument)
        }
        self.context = context
        self.profile = profile
        self.capabilities = capabilities
        self.name = name
    }

    deinit { seccomp_release(context) }

    // book: begin seccomp-compile
    /// The finished program.
    mutating func program() throws(KernelError) -> [UInt8] {
        // A binary tree over the numbers instead of one long chain of comparisons.
        seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)
        try addArchitectures()
        for rule in profile.rules where counts(rule) { try add(rule) }
        return answerForNewerCalls() + (try export())
    }
    // book: end seccomp-compile

    private func addArchitectures() throws(KernelError) {
        let native = seccomp_arch_native()
        var names = profile.architectures
        for entry in profile.architectureMap where try number(of: entry.architecture) == native {
            names += entry.others
        }
        for name in names {
            let result = seccomp_arch_add(context, try number(of: name))
            // The machine's own is there from the start.
            if result != 0 && result != -EEXIST { throw error(name, -result) }
        }
    }

    private func number(of architecture: String) throws(KernelError) -> UInt32 {
        let word = architecture.hasPrefix("SCMP_ARCH_") ? architecture.dropFirst(10) : ""
        let number = seccomp_arch_resolve_name(word.lowercased())
        guard number != 0 else {
            throw error(architecture, EINVAL, remedy: "libseccomp knows no such architecture.")
        }
        return number
    }

    /// Whether a rule's conditions hold here.
    private func counts(_ rule: SeccompRule) -> Bool {
        holds(rule.includes, all: true) && !holds(rule.excludes, all: false)
    }

    private func holds(_ condition: SeccompCondition, all: Bool) -> Bool {
        var answers: [Bool] = []
        for name in condition.capabilities {
            // One that is not known here is one that the container does not have.
            let set = (try? CapabilitySet(named: name)) ?? []
            answers.append(!set.isEmpty && capabilities.isSuperset(of: set))
        }
        if !condition.architectures.isEmpty {
            answers.append(condition.architectures.contains(Self.architecture))
        }
        if let minimum = condition.minimumKernel {
            answers.append(Self.kernel >= (minimum.major, minimum.minor))
        }
        return all ? answers.allSatisfy { $0 } : answers.contains(true)
    }

    private mutating func add(_ rule: SeccompRule) throws(KernelError) {
        // libseccomp refuses rules that say what happens anyway.
        if rule.action == profile.defaultAction { return }
        for name in rule.names {
            let number = seccomp_syscall_resolve_name(name)
            if number == __NR_SCMP_ERROR {
                try checkUnknown(name, rule.action)
                continue
            }
            lastNumber = max(lastNumber, number)
            for arguments in alternatives(rule.arguments) {
                let result = seccomp_rule_add_array(
                    context, rule.action.number, number, UInt32(arguments.count), arguments)
                if result != 0 { throw error(name, -result) }
            }
        }
    }

    /// Comparisons with different arguments have to hold together; of several with one and the
    /// same argument, each is enough. So does runc.
    private func alternatives(_ arguments: [SeccompArgument]) -> [[scmp_arg_cmp]] {
        let comparisons = arguments.map(\.forLibrary)
        let hasRepetition = Set(arguments.map(\.index)).count < arguments.count
        return hasRepetition ? comparisons.map { [$0] } : [comparisons]
    }

    /// A name that libseccomp does not know is a call newer than the library, or a mistake.
    ///
    /// Docker's profile has some of the first kind. Not allowing one is safe; not denying one,
    /// when the profile says so, is not.
    private func checkUnknown(_ name: String, _ action: SeccompAction) throws(KernelError) {
        if passesOverUnknown { return }
        let isNewer = SeccompFilter.callsOfDefaultProfile.contains(name)
        if isNewer && (action == .allow || action == .log) { return }
        throw error(
            name, EINVAL,
            remedy: isNewer
                ? "libseccomp is too old to know the call, and so cannot deny it."
                : Suggestions.text(
                    for: name, among: SeccompFilter.callsOfDefaultProfile,
                    otherwise: "There is no such system call."))
    }

    /// Answers `ENOSYS` for calls that are newer than all that the profile speaks of.
    ///
    /// The C library tries a new call first and takes the old one where the kernel says that it
    /// does not have it. `EPERM` would be the end of it. So does runc.
    private func answerForNewerCalls() -> [UInt8] {
        guard case .errno(let number) = profile.defaultAction, number != ENOSYS, lastNumber > 0
        else { return [] }
        return BPF.load(offset: 4) + BPF.skipUnless(equal: seccomp_arch_native(), 4)
            + BPF.load(offset: 0)
            // Numbers of the x32 ABI, which are another table.
            + BPF.skipIf(atLeast: 0x4000_0000, 2)
            + BPF.skipUnless(above: UInt32(lastNumber), 1)
            + BPF.answer(SeccompAction.errno(UInt16(ENOSYS)).number)
    }

    private func export() throws(KernelError) -> [UInt8] {
        let number = memfd_create("seccomp", 1)
        guard number >= 0 else { throw KernelError("memfd_create", "seccomp", .current) }
        let file = Descriptor(owning: number)
        let result = seccomp_export_bpf(context, number)
        if result != 0 { throw error("the filter", -result) }
        lseek(number, 0, SEEK_SET)
        return try file.readAll(limit: 1 << 20)
    }

    private func error(_ object: String, _ number: CInt, remedy: String? = nil) -> KernelError {
        KernelError(
            "seccomp profile", "\(name): \(object)", Errno(rawValue: number),
            remedy: remedy ?? "libseccomp cannot make a rule of it.")
    }

    /// This machine's architecture, as Go calls it.
    private static var architecture: String {
        #if arch(x86_64)
            "amd64"
        #elseif arch(arm64)
            "arm64"
        #else
            "other"
        #endif
    }

    private static var kernel: (Int, Int) {
        let parts = split(kernelRelease(), at: ".")
        return (Int(parts[0]) ?? 0, parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
    }
}

/// The kernel's release, such as `6.1.0-18-amd64`. See `uname(2)`.
func kernelRelease() -> String {
    var names = utsname()
    uname(&names)
    return withUnsafeBytes(of: names.release) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}

/// Single instructions of classic BPF. See `linux/filter.h`.
private enum BPF {
    static func load(offset: UInt32) -> [UInt8] { instruction(0x20, 0, 0, offset) }
    static func answer(_ value: UInt32) -> [UInt8] { instruction(0x06, 0, 0, value) }
    static func skipUnless(equal value: UInt32, _ count: UInt8) -> [UInt8] {
        instruction(0x15, 0, count, value)
    }
    static func skipUnless(above value: UInt32, _ count: UInt8) -> [UInt8] {
        instruction(0x25, 0, count, value)
    }
    static func skipIf(atLeast value: UInt32, _ count: UInt8) -> [UInt8] {
        instruction(0x35, count, 0, value)
    }

    private static func instruction(
        _ code: UInt16, _ ifTrue: UInt8, _ ifFalse: UInt8, _ value: UInt32
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        withUnsafeBytes(of: code) { bytes += $0 }
        bytes += [ifTrue, ifFalse]
        withUnsafeBytes(of: value) { bytes += $0 }
        return bytes
    }
}

extension SeccompAction {
    /// As libseccomp and the kernel have it.
    var number: UInt32 {
        switch self {
        case .killThread: 0
        case .killProcess: 0x8000_0000
        case .trap: 0x0003_0000
        case .errno(let errno): 0x0005_0000 | UInt32(errno)
        case .notify: 0x7FC0_0000
        case .trace(let message): 0x7FF0_0000 | UInt32(message)
        case .log: 0x7FFC_0000
        case .allow: 0x7FFF_0000
        }
    }
}

extension SeccompArgument {
    fileprivate var forLibrary: scmp_arg_cmp {
        let op: scmp_compare =
            switch comparison {
            case .notEqual: SCMP_CMP_NE
            case .less: SCMP_CMP_LT
            case .lessOrEqual: SCMP_CMP_LE
            case .equal: SCMP_CMP_EQ
            case .greaterOrEqual: SCMP_CMP_GE
            case .greater: SCMP_CMP_GT
            case .maskedEqual: SCMP_CMP_MASKED_EQ
            }
        return scmp_arg_cmp(arg: index, op: op, datum_a: value, datum_b: second)
    }
}

extension SeccompFilter {
    /// The version of libseccomp.
    public static var library: String {
        guard let version = seccomp_version()?.pointee else { return "none" }
        return "\(version.major).\(version.minor).\(version.micro)"
    }

    /// The architectures that a profile may name.
    public static let architectures = [
        "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64",
        "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
        "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_RISCV64",
        "SCMP_ARCH_S390", "SCMP_ARCH_S390X", "SCMP_ARCH_X32", "SCMP_ARCH_X86",
        "SCMP_ARCH_X86_64",
    ]
}
