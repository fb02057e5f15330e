import Kernel

// Version 2 has no files for devices. The kernel runs a program of ours instead, each time a
// process of the cgroup makes a device node or opens one; it allows that by returning 1.
// See "Device controller" in the kernel's documentation of cgroup v2, and `bpf(2)`.

extension DeviceRule {
    // book: begin device-program
    /// A program that returns 1 for what the rules allow, and 0 for all the rest.
    ///
    /// Of the rules that fit, the last counts: they are asked from the last to the first. The
    /// program is given three numbers: type and access in one, major, minor. Each rule becomes a
    /// row of tests that jump to the next rule where they do not fit.
    static func program(following rules: [DeviceRule]) -> [BPFInstruction] {
        var program: [BPFInstruction] = [
            .load(.kind, fromContext: 0),
            .load(.major, fromContext: 4),
            .load(.minor, fromContext: 8),
            // The upper half of the first number is the access, the lower half the type.
            .copy(.access, from: .kind),
            .shiftRight(.access, by: 16),
            .and(.kind, 0xFFFF),
        ]
        for rule in rules.reversed() { program += rule.tests }
        return program + [.set(.result, 0), .exit]
    }

    private var tests: [BPFInstruction] {
        // How far the next rule is, is known at the end: each test is told its own distance.
        var tests: [(Int16) -> BPFInstruction] = []
        if let kind {
            tests.append { .skip($0, unless: .kind, is: kind == .block ? 1 : 2) }
        }
        if let major { tests.append { .skip($0, unless: .major, is: Int32(major)) } }
        if let minor { tests.append { .skip($0, unless: .minor, is: Int32(minor)) } }
        if isForbidden {
            // One thing of those asked for is forbidden: so is the whole.
            tests.append { _ in .copy(.scratch, from: .access) }
            tests.append { _ in .and(.scratch, access.rawValue) }
            tests.append { .skip($0, if: .scratch, is: 0) }
            tests.append { _ in .set(.result, 0) }
        } else {
            // What is allowed need not be asked for any more; rules above allow the rest.
            tests.append { _ in .and(.access, ~access.rawValue) }
            tests.append { .skip($0, unless: .access, is: 0) }
            tests.append { _ in .set(.result, 1) }
        }
        tests.append { _ in .exit }
        var program: [BPFInstruction] = []
        for (index, test) in tests.enumerated() {
            program.append(test(Int16(tests.count - index - 1)))
        }
        return program
    }
    // book: end device-program
}

extension BPFRegister {
    /// What the program returns.
    fileprivate static let result = BPFRegister(number: 0)
    fileprivate static let kind = BPFRegister(number: 2)
    fileprivate static let access = BPFRegister(number: 3)
    fileprivate static let major = BPFRegister(number: 4)
    fileprivate static let minor = BPFRegister(number: 5)
    fileprivate static let scratch = BPFRegister(number: 6)
}
