import Foundation
import Testing

@testable import TestSupport

/// Everything that touches what the whole machine shares: one test at a time, each with a leak
/// check round it.
///
/// Needs root. With CI set, tests that cannot run have to fail and not to be passed over.
@Suite(.serialized, .enabled(if: isRoot || isCI, "needs root"), LeakChecked())
struct KernelSuite {}
