import Foundation
import Testing

/// Everything that touches what the whole machine shares: one test at a time, each with a leak
/// check round it.
///
/// Needs root. With CI set, tests that cannot run have to fail and not to be passed over.
@Suite(.serialized, .enabled(if: isRoot || isCI, "needs root"), LeakChecked())
struct KernelSuite {}

let isRoot = geteuid() == 0
let isCI = ProcessInfo.processInfo.environment["CI"] == "true"

/// Whether this machine's kernel has `feature`; says so where it has not.
func kernelHas(_ feature: String, _ check: () -> Bool) -> Bool {
    if check() { return true }
    print("unsupported by this kernel: \(feature)")
    return false
}
