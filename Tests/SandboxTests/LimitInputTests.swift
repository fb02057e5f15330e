import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// Limits that cannot be kept: one line, and nothing half applied.
    @Suite("Limits that cannot be") struct LimitInputTests {
        private static let cases: [([String], String)] = [
            (["--memory", "1"], "EINVAL"), (["--memory", "0"], "EINVAL"),
            (["--memory", "64x"], "EINVAL"), (["--memory", "-1"], "EINVAL"),
            (["--memory", ""], "EINVAL"), (["--memory", "99999999999t"], "EINVAL"),
            (["--memory-swap", "64m"], "EINVAL"),
            (["--memory", "64m", "--memory-swap", "32m"], "EINVAL"),
            (["--memory", "64m", "--memory-reservation", "65m"], "EINVAL"),
            (["--cpus", "0.0001"], "EINVAL"), (["--cpus", "0"], "EINVAL"),
            (["--cpus", "nan"], "EINVAL"), (["--cpus", "100000"], "EINVAL"),
            (["--cpus", "1e-1"], "EINVAL"), (["--cpu-shares", "1"], "EINVAL"),
            (["--cpu-weight", "0"], "EINVAL"), (["--cpu-weight", "10001"], "EINVAL"),
            (["--cpuset-cpus", "4000"], "ENODEV"), (["--cpuset-cpus", "0-"], "EINVAL"),
            (["--cpuset-cpus", ""], "EINVAL"), (["--cpuset-cpus", "1-0"], "EINVAL"),
            (["--cpuset-mems", "900"], "ENODEV"), (["--pids-limit", "0"], "EINVAL"),
            (["--pids-limit", "many"], "EINVAL"), (["--io-weight", "0"], "EINVAL"),
            (["--io-weight", "1001"], "EINVAL"), (["--io-max", "/dev/null:rbps=1m"], "ENOTBLK"),
            (["--io-max", "/dev/no-such-disk:rbps=1m"], "ENOENT"), (["--io-max", "x"], "EINVAL"),
            (["--io-max", "/dev/null"], "EINVAL"), (["--device", "/etc/passwd"], "ENODEV"),
            (["--device", "/dev/no-such-device"], "ENOENT"), (["--device", ""], "EINVAL"),
            (["--device", "/dev/null:/a:/b"], "EINVAL"), (["--device", "dev/null"], "EINVAL"),
            (["--cgroup-parent", "no/such/cgroup"], "ENOENT"),
        ]

        @Test("Each is refused by name, with what would do", arguments: cases.indices)
        func refuses(_ index: Int) throws {
            let (options, errno) = Self.cases[index]
            let rootfs = try place().rootfs()
            for runner in [Runner.stage06, .hull] {
                let got = try run(runner.command(options, rootfs: rootfs, ["true"]))
                let object = options[options.count - 1].replacing(":rbps=1m", with: "")
                expectOneLine(got, code: 125, naming: object, errno)
            }
            try expectNoAbandonedGroups()
        }

        @Test("Where the kernel refuses one limit of several, nothing stays")
        func undoes() throws {
            let rootfs = try place().rootfs()
            // More than the cgroup above has: only the kernel knows.
            let mounts = HostControlGroups.v1.filter { $0.superOptions.contains("cpu") }
            guard kernelHas("version 1's cpu controller", { mounts.count == 1 }) else { return }
            let parent = "hull-test-" + Place.randomWord()
            let path = mounts[0].target + "/" + parent
            mkdir(path, 0o755)
            defer { rmdir(path) }
            try "5000".write(toFile: path + "/cpu.cfs_quota_us", atomically: false, encoding: .utf8)
            let got = try run(
                Runner.stage06.command(
                    ["--cgroup-parent", parent, "--cpus", "0.5"], rootfs: rootfs, ["true"]))
            expectOneLine(got, code: 125, naming: "--cpus", "EINVAL")
            let left = try FileManager.default.contentsOfDirectory(atPath: path)
            #expect(!left.contains { $0.hasPrefix("hull") }, "\(left)")
        }
    }
}
