import Foundation
import Testing

/// The host, as it looks besides the sandboxes.
enum Host {
    /// The processes whose command line holds `marker`, the tests' own left out.
    static func processes(mentioning marker: String) -> [pid_t] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { pid_t($0) }.filter { process in
            let line = try? Observed.read("/proc/\(process)/cmdline")
            return process != getpid() && line?.contains(marker) == true
        }
    }

    /// The processes whose root directory is `rootfs`, or an overlay over it.
    static func processes(rootedIn rootfs: String) -> [pid_t] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { pid_t($0) }.filter { process in
            let link = "/proc/\(process)/root"
            let root = try? FileManager.default.destinationOfSymbolicLink(atPath: link)
            if root == rootfs { return true }
            let mounts = try? Observed(process: process).mounts()
            return mounts?.first?.superOptions.contains("lowerdir=" + rootfs) == true
        }
    }

    /// What is mounted at a path or below it.
    static func mounts(below path: String) throws -> [Mount] {
        try Mount.list(of: "self").filter { $0.target == path || $0.target.hasPrefix(path + "/") }
    }
}

/// Expects a refusal as the design wants them: one line, with what was tried on what and why,
/// nothing on standard output, and this exit code.
func expectOneLine(
    _ outcome: Outcome, code: Int32, naming object: String, _ errno: String = "",
    location: SourceLocation = #_sourceLocation
) {
    #expect(outcome.ending == .exited(code), "\(outcome)", sourceLocation: location)
    #expect(outcome.output.isEmpty, "\(outcome)", sourceLocation: location)
    let text = outcome.errors
    #expect(
        text.hasSuffix("\n") && text.dropLast().allSatisfy { $0 != "\n" },
        "not one line: \(outcome)", sourceLocation: location)
    // Every text holds the empty one, but Foundation's `contains` says no.
    #expect(
        object.isEmpty || text.contains(object), "does not name \(object): \(outcome)",
        sourceLocation: location)
    #expect(text.contains("(E"), "does not name an errno: \(outcome)", sourceLocation: location)
    if !errno.isEmpty {
        #expect(
            text.contains("(\(errno))"), "does not say \(errno): \(outcome)",
            sourceLocation: location)
    }
    // The remedy is a sentence after the errno.
    let remedy = text.range(of: #"\(E[A-Z0-9]+\)\. \S.*"#, options: .regularExpression)
    #expect(remedy != nil, "has no remedy: \(outcome)", sourceLocation: location)
}
