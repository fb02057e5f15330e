import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// What only the virtual machine has: `labs/vm test` runs these in it.
    @Suite("In the virtual machine", .enabled(if: VirtualMachine.isHere, "runs in labs/vm"))
    struct VirtualMachineTests {
        @Test("The only control groups are those of version 2, with every controller")
        func isPure() throws {
            let kinds = try Mount.list(of: "self").filter { $0.type.hasPrefix("cgroup") }
            #expect(kinds.map(\.type) == ["cgroup2"])
            #expect(kinds.first?.target == "/sys/fs/cgroup")
            let controllers = try Observed.read("/sys/fs/cgroup/cgroup.controllers")
            let names = Set(controllers.split { $0.isWhitespace })
            #expect(names.isSuperset(of: ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"]))
        }

        @Test("hull run runs a command, with everything but its network new")
        func runs() throws {
            let rootfs = try place().rootfs()
            let running = try Program(Runner.hull.command(rootfs: rootfs, ["sleep", "1000"]))
            let sandboxed = try running.sandboxed(named: "sleep")
            for kind in ["mnt", "pid", "uts", "ipc"] {
                #expect(try sandboxed.namespace(kind) != Observed.host.namespace(kind))
            }
            kill(sandboxed.process, SIGKILL)
            #expect(try running.wait().code == 128 + SIGKILL)
        }

        @Test("AppArmor is on, and a profile that is loaded bites")
        func hasAppArmor() throws {
            try #require(VirtualMachine.has("apparmor"))
            let profile = "hull-tests-" + Place.randomWord()
            let word = Place.randomWord()
            let file = try place().write(word, to: "secret")
            let reading = ["cat", file]
            try AppArmor.with(
                """
                profile \(profile) {
                  file,
                  deny \(file) r,
                }
                """
            ) {
                #expect(try run(reading).output == word)
                let confined = try run(["aa-exec", "-p", profile, "--"] + reading)
                #expect(confined.code == 1, "\(confined)")
                #expect(!confined.output.contains(word))
            }
        }
    }
}
