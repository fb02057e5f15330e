import Kernel
import Testing

/// An error is one line a student can act on.
@Suite struct ErrorTests {
    @Test("An error says operation, object, meaning, name and remedy, in one line")
    func line() {
        let error = KernelError("mount", "/proc", .busy, remedy: "Unmount it first.")
        #expect(
            error.description
                == "mount /proc: Device or resource busy (EBUSY). Unmount it first.")
    }

    @Test("A line break in an object's name does not break the line")
    func control() {
        let error = KernelError("open", "a\nb\u{1B}[31m", .noSuchFile)
        #expect(!error.description.contains("\n"))
        #expect(!error.description.contains("\u{1B}"))
    }

    @Test("Missing privileges and full disks come with their usual remedy")
    func remedies() {
        #expect(KernelError("mount", "/", .notPermitted).remedy.contains("root"))
        #expect(KernelError("write", "/", .noSpace).remedy.contains("HULL_ROOT"))
        #expect(KernelError("write", "/", .readOnly).remedy.contains("HULL_ROOT"))
    }
}
