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

    /// Something that not every runtime does.
    enum Feature: CaseIterable {
        case domainName, timeOffsets, idMappedMounts, scheduler, ioPriority, cpuAffinity
        case features, events, update, strictIDs, recursiveOptions, refusedResourceGroups
        case pausing, startedOnce, runTwice, hugeIDs, temporaryCopy, seccompListener, strictState
        case personality, joinedTime, jsonNumbersOnly, cgroupParts, mountLabelled, netDevices
    }

    /// Whether the runtime under test has a feature. Ours has all; Debian 12's runc is 1.1.5 and
    /// its crun 1.8.1.
    static func has(_ feature: Feature) -> Bool { !current.missing.contains(feature) }

    private var missing: Set<Feature> {
        switch self {
        case .hull: []
        case .runc:
            [
                .domainName, .timeOffsets, .idMappedMounts, .scheduler, .ioPriority, .cpuAffinity,
                .joinedTime, .personality,
            ]
        case .crun:
            [
                .scheduler, .ioPriority, .cpuAffinity, .features, .events, .strictIDs, .pausing,
                .startedOnce, .strictState, .refusedResourceGroups,
            ]
        }
    }

    /// The vulnerabilities that this version still has.
    static func isVulnerable(to name: String) -> Bool {
        switch current {
        case .hull: false
        case .runc: ["CVE-2024-21626"].contains(name)
        case .crun: [String]().contains(name)
        }
    }
}
