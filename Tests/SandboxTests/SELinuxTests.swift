import Testing

@testable import TestSupport

extension KernelSuite {
    /// What the virtual machine has when it is booted with SELinux.
    @Suite("With SELinux", .enabled(if: VirtualMachine.isHere, "runs in labs/vm"))
    struct SELinuxTests {
        @Test("SELinux is on, and the policy that is loaded bites")
        func hasSELinux() throws {
            try #require(VirtualMachine.has("selinux"))
            #expect(try Observed.read("/sys/fs/selinux/enforce") == "1")
            let word = Place.randomWord()
            let file = try place().write(word, to: "secret")
            try SELinux.label(file, SELinux.secret)
            for (label, mayRead) in [(SELinux.free, true), (SELinux.confined, false)] {
                let reading = try run(["runcon", label, "cat", file])
                #expect(reading.output == (mayRead ? word : ""), "\(reading)")
                #expect(reading.code == (mayRead ? 0 : 1), "\(reading)")
            }
        }
    }
}
