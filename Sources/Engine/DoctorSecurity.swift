import CLinux
import Glibc
import Kernel

extension Doctor {
    static func seccomp() -> Finding {
        guard let actions = setting("/proc/sys/kernel/seccomp/actions_avail") else {
            return .missing(
                "seccomp", "not in this kernel", costs: "no filters on system calls (stage 7)",
                remedy: "a kernel with CONFIG_SECCOMP_FILTER=y")
        }
        return .ok("seccomp", actions)
    }

    static func landlock() -> Finding {
        let abi = landlock_abi()
        if abi > 0 { return .ok("Landlock", "ABI \(abi)") }
        let isOff = Errno.current.rawValue == EOPNOTSUPP
        return .warning(
            "Landlock", isOff ? "built in, turned off" : "not in this kernel",
            costs: "no rules on paths for unprivileged programs (stage 7)",
            remedy: isOff
                ? "boot with landlock added to lsm=" : "a kernel with CONFIG_SECURITY_LANDLOCK=y")
    }

    /// AppArmor or SELinux; a kernel runs one of them, or neither.
    static func securityModule() -> Finding {
        if setting("/sys/module/apparmor/parameters/enabled") == "Y" {
            return .ok("AppArmor or SELinux", "AppArmor")
        }
        if let mode = setting("/sys/fs/selinux/enforce") {
            return .ok(
                "AppArmor or SELinux", mode == "1" ? "SELinux, enforcing" : "SELinux, permissive")
        }
        return .warning(
            "AppArmor or SELinux", "neither", costs: "no profile round containers (stage 7)",
            remedy: "boot with apparmor=1 security=apparmor, on a kernel that has it")
    }
}
