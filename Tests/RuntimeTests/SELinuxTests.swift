import Foundation
import OCISpec
import Testing

@testable import TestSupport

extension RuntimeSuite {
    /// What the virtual machine has when it is booted with SELinux.
    @Suite("With SELinux", .enabled(if: VirtualMachine.isHere, "runs in labs/vm"))
    struct SELinuxRuntimeTests {
        @Test("A process has the SELinux label that was asked for, and it bites")
        func hasLabels() throws {
            try #require(VirtualMachine.has("selinux"))
            let script = "cat /proc/self/attr/current; echo; cat /secret"
            for (label, mayRead) in [(SELinux.free, true), (SELinux.confined, false)] {
                let container = try Container(shell: script) {
                    $0[at: "process/selinuxLabel"] = .string(label)
                    // Behind it, a change of label takes a rule of the policy's of its own.
                    $0[at: "process/noNewPrivileges"] = false
                }
                let word = Place.randomWord()
                let file = try place().write(word, to: container.rootfs + "/secret")
                try SELinux.label(file, SELinux.secret)
                let outcome = try container.run()
                #expect(outcome.output.hasPrefix(label), "\(outcome)")
                #expect(outcome.output.contains(word) == mayRead, "\(outcome)")
            }
        }
    }
}
