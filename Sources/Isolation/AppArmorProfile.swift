import Glibc
import Kernel

/// An AppArmor profile for the command (`--security-opt apparmor=PROFILE`). See `apparmor(7)`.
///
/// Profiles belong to the machine: its administrator loads them, by name. Each says which paths,
/// capabilities and mounts a program may use, whoever runs it.
public struct AppArmorProfile: Mechanism {
    /// As the narrator calls it.
    public let name = "apparmor"
    private let profile: String

    /// Puts the command under the profile of this name.
    public init(_ profile: String) { self.profile = profile }

    /// Asks the host: a kernel runs with AppArmor or without.
    public func prepare() throws(KernelError) {
        let flag = (try? readText("/sys/module/apparmor/parameters/enabled")) ?? "N"
        guard flag.hasPrefix("Y") else {
            throw KernelError(
                "apparmor", profile, Errno(rawValue: EOPNOTSUPP),
                remedy: "This kernel runs without AppArmor; `hull doctor` says what is missing.")
        }
    }

    // book: begin apparmor-seal
    /// Asks for the profile from the next program on, which is the command.
    public func seal(_ process: SealedProcess) throws(KernelError) {
        guard process == .command else { return }
        do {
            try setExecutionLabel(
                "exec " + profile, at: ["apparmor/exec", "exec"],
                why: "the command starts under this profile")
        } catch {
            throw error.renamed("apparmor", profile).advising(
                "Is it loaded? /sys/kernel/security/apparmor/profiles lists them;"
                    + " `apparmor_parser -r FILE` loads one.")
        }
    }
    // book: end apparmor-seal
}
