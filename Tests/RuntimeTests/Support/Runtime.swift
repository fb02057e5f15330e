import Foundation
import Testing

@testable import TestSupport

/// The OCI runtime under test: `hull-runtime` of this build, or the program that HULL_TEST_RUNTIME
/// names.
///
/// The tests are held against runc and crun too, so that they are tested themselves. Whatever one
/// of the three does in another way is said in this file and nowhere else.
enum Runtime: String {
    case hull = "hull-runtime"
    case runc
    case crun

    /// The file that is run.
    static let path =
        ProcessInfo.processInfo.environment["HULL_TEST_RUNTIME"]
        ?? Products.directory + "/hull-runtime"
    /// Which of the three it is, by its name.
    static let current =
        Runtime(rawValue: (path as NSString).lastPathComponent.components(separatedBy: ".")[0])
        ?? .hull

    /// The command line up to the subcommand, with a state directory of the test's own.
    static func command(_ words: [String], globally: [String] = []) throws -> [String] {
        try bare(["--root", root()] + globally + words)
    }

    /// The same without a state directory.
    static func bare(_ words: [String]) -> [String] {
        let command = [path] + words
        guard current == .crun, HostControlGroups.isHybrid, let v2 = HostControlGroups.v2 else {
            return command
        }
        // Debian's crun has no hybrid mode: it takes the host for one with version 1 alone.
        return HostControlGroups.without([v2], command)
    }

    /// The state directory of the running test.
    static func root() throws -> String { try place().state + "/runtime" }

    /// What the runtime writes in its state directory's place when none is named.
    var defaultRoot: String { "/run/" + rawValue }

    /// Something that Debian 12's runc, which is 1.1.5, or its crun, which is 1.8.1, does not do.
    enum Feature {
        case domainName, timeOffsets, idMappedMounts, scheduler, ioPriority, cpuAffinity
        case personality, features, events, strictIDs, pausing, cleanEnvironment
    }

    /// Whether the runtime under test has a feature. Ours has all.
    static func has(_ feature: Feature) -> Bool { !current.missing.contains(feature) }

    private var missing: Set<Feature> {
        switch self {
        case .hull: []
        case .runc:
            [
                .domainName, .timeOffsets, .idMappedMounts, .scheduler, .ioPriority, .cpuAffinity,
                .personality, .cleanEnvironment,
            ]
        case .crun:
            [
                .timeOffsets, .scheduler, .ioPriority, .cpuAffinity, .features, .events,
                .strictIDs, .pausing, .cleanEnvironment,
            ]
        }
    }

    /// The vulnerabilities that this version still has.
    static func isVulnerable(to name: String) -> Bool {
        switch current {
        case .hull: false
        case .runc:
            [
                "CVE-2024-21626", "CVE-2024-45310", "CVE-2025-31133", "CVE-2025-52565",
                "CVE-2025-52881",
            ].contains(name)
        case .crun:
            ["CVE-2019-16884", "CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"]
                .contains(name)
        }
    }
}

extension Trait where Self == ConditionTrait {
    /// Passes over a test against a runtime that does the thing in another way.
    static func except(_ runtimes: Runtime..., because reason: Comment) -> Self {
        .disabled(if: runtimes.contains(Runtime.current), reason)
    }

    /// Passes over a test against a runtime that lacks the feature.
    static func needs(_ feature: Runtime.Feature) -> Self { .enabled(if: Runtime.has(feature)) }
}
