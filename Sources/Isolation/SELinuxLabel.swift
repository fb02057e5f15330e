import Glibc
import Kernel

/// An SELinux label for the command and for its files (`--security-opt label=type:TYPE`).
/// See `selinux(8)`.
///
/// Every process and every file has one, and the machine's policy says which may do what to
/// which. The level keeps two containers of the same type apart.
public struct SELinuxLabel: Mechanism {
    /// The parts of a label.
    public struct Parts: Equatable, Sendable {
        var user = "system_u"
        var role = "system_r"
        var type = "container_t"
        /// nil for what a policy with levels takes for none at all.
        var level: String?
        var fileType = "container_file_t"

        /// What containers usually have.
        public init() {}

        /// The label of the command.
        public var process: String { "\(user):\(role):\(type)" + suffix }
        /// The label of the files it finds, for the mount option `context=`.
        public var files: String { "\(user):object_r:\(fileType)" + suffix }

        /// Policies have levels or have none; a label has to go with the one that is loaded. It is
        /// looked up on the host: in the sandbox there is no /sys/fs/selinux.
        private let hasLevels = (try? readText("/sys/fs/selinux/mls"))?.hasPrefix("0") != true

        private var suffix: String {
            level.map { ":" + $0 } ?? (hasLevels ? ":s0" : "")
        }

        /// Changes the part that `text` names: `user:`, `role:`, `type:`, `level:`, `filetype:`.
        /// - Throws: `EINVAL` where it names none.
        mutating func apply(_ text: String) throws(KernelError) {
            let name = split(text, at: ":")[0]
            let value = String(text.dropFirst(name.count + 1))
            // Nothing that would end the mount option, or the label's part.
            let isClean = value.utf8.allSatisfy { $0 > 32 && $0 != 34 && $0 < 127 }
            guard !value.isEmpty, isClean else { throw Self.error(text) }
            switch name {
            case "user": user = value
            case "role": role = value
            case "type": type = value
            case "level": level = value
            case "filetype": fileType = value
            default: throw Self.error(text)
            }
        }

        private static func error(_ text: String) -> KernelError {
            KernelError(
                "label", text.isEmpty ? "\"\"" : text, .invalidArgument,
                remedy: "Write user:, role:, type:, level: or filetype: and a value, or disable.")
        }
    }

    /// As the narrator calls it.
    public let name = "selinux"
    private let label: String

    /// Puts the command under this label.
    public init(_ label: String) { self.label = label }

    /// Asks the host: a kernel runs with SELinux or without.
    public func prepare() throws(KernelError) {
        let systems = (try? readText("/proc/filesystems")) ?? ""
        guard split(systems, at: "\n").contains(where: { $0.hasSuffix("\tselinuxfs") }) else {
            throw KernelError(
                "selinux", label, Errno(rawValue: EOPNOTSUPP),
                remedy: "This kernel runs without SELinux; `hull doctor` says what is missing.")
        }
    }

    // book: begin selinux-seal
    /// Asks for the label from the next program on, which is the command.
    public func seal(_ process: SealedProcess) throws(KernelError) {
        guard process == .command else { return }
        do {
            try setExecutionLabel(
                label, at: ["exec"], why: "the command starts under this label")
        } catch {
            throw error.renamed("selinux", label).advising(
                "Does the machine's policy know it? `sestatus` shows which policy is loaded.")
        }
    }
    // book: end selinux-seal
}
