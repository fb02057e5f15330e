import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// Writers of the store are killed at random moments, alone and beside each other.
    ///
    /// `HULL_STORE_KILLS` says how many are killed and `HULL_STORE_SEED` in which way; a
    /// thousand take about a minute.
    @Suite("Stage 8, a store whose writers are killed")
    struct StoreCrashTests {
        /// What the suite takes on every run.
        private static let usualKills = 200

        @Test func `A store whose writer was killed is readable and complete`() throws {
            var writers = try Writers()
            while writers.killed < Self.kills {
                try writers.killSome()
                try writers.expectReadableAndComplete()
            }
            try writers.expectNothingLeft()
            print(
                "store: \(writers.killed) writers killed of \(writers.started), seed \(Self.seed)")
        }

        @Test func `Who tags and who collects do not get into each other's way`() throws {
            let writers = try Writers()
            let collector = try Program(
                ["bash", "-c", "for i in {1..20}; do \(Products.hull) image prune || exit; done"])
            for round in 0..<4 {
                let imports = try (0..<4).map { number in
                    try Program(
                        [Products.hull, "image", "import", writers.tree, "keep-\(round)-\(number)"])
                }
                for writer in imports { #expect(try writer.wait(60).code == 0) }
            }
            #expect(try collector.wait(60).code == 0)
            let names = try run([Products.hull, "image", "verify"])
            #expect(names.code == 0, "\(names)")
            #expect(names.lines.filter { $0.hasPrefix("keep-") }.count == 16, "\(names)")
        }

        private static func variable(_ name: String) -> Int? {
            ProcessInfo.processInfo.environment[name].flatMap(Int.init)
        }

        private static let kills = variable("HULL_STORE_KILLS") ?? usualKills
        fileprivate static let seed = variable("HULL_STORE_SEED") ?? Int.random(in: 0..<1_000_000)
    }
}

/// Starts commands that change the store, and kills them.
private struct Writers {
    /// A directory that is imported, another each time.
    let tree: String
    private var random: SeededGenerator
    private(set) var started = 0
    private(set) var killed = 0
    private let names = ["one", "two", "registry.example/three:v3"]

    init() throws {
        tree = try place().makeDirectory("tree")
        random = SeededGenerator(seed: KernelSuite.StoreCrashTests.seed)
        try place().write("first", to: tree + "/file")
        let made = try run([Products.hull, "image", "import", tree, "one"])
        #expect(made.code == 0, "\(made)")
    }

    /// One to three at once; each gets up to forty milliseconds, which is about what an import
    /// takes.
    mutating func killSome() throws {
        let writers = try (0..<Int.random(in: 1...3, using: &random)).map { _ in
            try Program([Products.hull] + (try command()))
        }
        started += writers.count
        for writer in writers {
            usleep(.random(in: 0...40_000, using: &random))
            writer.signal(SIGKILL)
            let outcome = try writer.wait()
            if outcome.ending == .signalled(SIGKILL) { killed += 1 }
        }
    }

    private mutating func command() throws -> [String] {
        let name = names.randomElement(using: &random) ?? "one"
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<5:
            // Sometimes the same image as before.
            let content = "\(Int.random(in: 0..<6, using: &random))"
            try place().write(content, to: tree + "/file")
            return ["image", "import", "-c", "LABEL content=\(content)", tree, name]
        case 5: return ["tag", names.randomElement(using: &random) ?? "one", name]
        case 6: return ["rmi", name]
        case 7: return ["image", "revert", name]
        case 8: return ["image", "prune"]
        default: return ["image", "prune", "--all"]
        }
    }

    /// The index can be read, and all that it leads to is there and is what its digest says.
    func expectReadableAndComplete() throws {
        let verified = try run([Products.hull, "image", "verify"], seconds: 60)
        #expect(verified.code == 0, "\(verified)")
        let list = try run([Products.hull, "images", "--json"])
        #expect(list.code == 0, "\(list)")
    }

    /// The next writer clears what the dead ones left, and prune takes the blobs of no image.
    func expectNothingLeft() throws {
        let written = try run([Products.hull, "image", "import", tree, "last"])
        #expect(written.code == 0, "\(written)")
        let pruned = try run([Products.hull, "image", "prune", "--all"])
        #expect(pruned.code == 0, "\(pruned)")
        let root = try place().state
        let files = try FileManager.default.subpathsOfDirectory(atPath: root).filter { name in
            (try? FileManager.default.attributesOfItem(atPath: root + "/" + name)[.type])
                as? FileAttributeType == .typeRegular
        }
        let expected = ["index.json", "lease", "lock", "oci-layout"]
        let left = files.filter { !expected.contains(($0 as NSString).lastPathComponent) }
        #expect(left.isEmpty)
    }
}

/// Gives the same numbers for the same seed (SplitMix64), so that a run can be done again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: Int) { state = UInt64(truncatingIfNeeded: seed) }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
