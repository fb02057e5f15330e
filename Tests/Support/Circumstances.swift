import Foundation

let isRoot = geteuid() == 0
let isCI = ProcessInfo.processInfo.environment["CI"] == "true"

/// Whether this machine's kernel has `feature`; says so where it has not.
func kernelHas(_ feature: String, _ check: () -> Bool) -> Bool {
    if check() { return true }
    print("unsupported by this kernel: \(feature)")
    return false
}
