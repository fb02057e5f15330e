import Foundation
import Testing

/// The virtual machine that `labs/vm test` runs tests in: no cgroup v1, and an LSM of its own.
enum VirtualMachine {
    /// Whether the tests run in it at all.
    static let isHere = ProcessInfo.processInfo.environment["HULL_VM"] != nil

    /// Whether it was booted with the security module, as `apparmor` and `selinux`.
    static func has(_ module: String) -> Bool {
        let modules = try? Observed.read("/sys/kernel/security/lsm")
        return isHere && modules?.split(separator: ",").contains { $0 == module } == true
    }

    /// How much longer things may take: there is no KVM everywhere.
    static let patience = isHere ? 10.0 : 1.0
}

/// AppArmor, by its own tools. See `apparmor.d(5)`.
enum AppArmor {
    /// Loads a profile, which is called as the text says, and takes it away after `body`.
    static func with(_ profile: String, _ body: () throws -> Void) throws {
        try parser("--replace", profile)
        do {
            try body()
        } catch {
            try parser("--remove", profile)
            throw error
        }
        try parser("--remove", profile)
    }

    private static func parser(_ operation: String, _ profile: String) throws {
        let outcome = try run(
            ["apparmor_parser", operation, "--skip-cache"], input: .text(profile))
        guard outcome.code == 0 else { throw ProgramFailure(description: "\(outcome)") }
    }
}

/// SELinux with the policy in labs/machine/policy.conf, which the machine loads when it boots.
enum SELinux {
    /// The labels of processes: one may do everything, the other not read what is `secret`.
    static let free = "user_u:role_r:free_t"
    static let confined = "user_u:role_r:confined_t"
    /// The label of a file that only a free process may read.
    static let secret = "user_u:role_r:secret_t"

    /// Labels a file. See `chcon(1)`.
    static func label(_ path: String, _ context: String) throws {
        let outcome = try run(["chcon", context, path])
        guard outcome.code == 0 else { throw ProgramFailure(description: "\(outcome)") }
    }
}
