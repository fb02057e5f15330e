import Foundation
import Testing

@testable import TestSupport

extension KernelSuite {
    /// Stage 7 with what only the virtual machine's kernel has.
    @Suite("Stage 7 in the virtual machine", .enabled(if: VirtualMachine.isHere, "runs in labs/vm"))
    struct VirtualMachinePrivilegeTests {
        @Test("A command runs under the AppArmor profile that was asked for, and it bites")
        func hasAppArmor() throws {
            guard kernelHas("AppArmor", { VirtualMachine.has("apparmor") }) else { return }
            let profile = "hull-tests-" + Place.randomWord()
            let (rootfs, word) = (try place().rootfs(), Place.randomWord())
            try place().write(word, to: rootfs + "/secret")
            // Modules are loaded by no test; what may be written here is the profile's to say.
            let text = """
                profile \(profile) flags=(attach_disconnected,mediate_deleted) {
                  file, capability, network, signal, unix,
                  deny /secret r,
                }
                """
            try AppArmor.with(text) {
                for runner in [Runner.stage07, .hull] {
                    let open = try run(runner.command(rootfs: rootfs, ["cat", "/secret"]))
                    #expect(open.output == word, "\(open)")
                    for extra in [[], ["--security-opt", "no-new-privileges", "-u", "1000"]] {
                        let options = ["--security-opt", "apparmor=" + profile] + extra
                        let closed = try run(
                            runner.command(
                                options, rootfs: rootfs,
                                ["sh", "-c", "cat /proc/self/attr/current; cat /secret"]))
                        #expect(closed.output.hasPrefix(profile + " (enforce)"), "\(closed)")
                        #expect(!closed.output.contains(word) && closed.code == 1, "\(closed)")
                    }
                }
            }
            let gone = try run(
                Runner.stage07.command(
                    ["--security-opt", "apparmor=" + profile], rootfs: rootfs, ["true"]))
            expectOneLine(gone, code: 125, naming: profile)
        }

        @Test("A module can be asked for in stage 6 and not in stage 7")
        func loadsNoModules() throws {
            let rootfs = try place().rootfs()
            let open = try attack(in: .stage06, rootfs, "load-module")
            #expect(open.gotThrough, "\(open)")
            let closed = try attack(in: .stage07, rootfs, "load-module")
            #expect(closed.isStopped, "\(closed)")
        }
    }

    /// Stage 7 where SELinux is on.
    @Suite("Stage 7 with SELinux", .enabled(if: VirtualMachine.isHere, "runs in labs/vm"))
    struct SELinuxPrivilegeTests {
        @Test("A command and its files have the SELinux labels that were asked for, and they bite")
        func hasLabels() throws {
            guard kernelHas("SELinux", { VirtualMachine.has("selinux") }) else { return }
            let (rootfs, word) = (try place().rootfs(), Place.randomWord())
            let file = try place().write(word, to: "secret")
            try SELinux.label(file, SELinux.secret)
            let script = "cat /proc/self/attr/current; echo; cat /secret"
            for (type, mayRead) in [("free_t", true), ("confined_t", false)] {
                let labels = ["user:user_u", "role:role_r", "type:" + type, "filetype:free_t"]
                let options = labels.flatMap { ["--security-opt", "label=" + $0] }
                let got = try run(
                    Runner.stage07.command(
                        options + ["-v", file + ":/secret"], rootfs: rootfs, ["sh", "-c", script]))
                #expect(got.output.contains("user_u:role_r:" + type), "\(got)")
                #expect(got.output.contains(word) == mayRead, "\(got)")
            }
        }
    }
}
