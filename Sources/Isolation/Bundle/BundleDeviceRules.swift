import Glibc
import Kernel
import OCISpec

/// A bundle's rules for devices, and after them those that every container has.
///
/// Without any nothing is allowed: a cgroup of version 1 would have what the one above has.
struct BundleDeviceRules {
    /// In order; the last that fits a device counts.
    private(set) var rules: [DeviceRule] = []

    init(_ bundle: [RuntimeDeviceRule]) {
        for rule in bundle {
            // Both types in version 1 means every device whatever the numbers are.
            let kinds: [DeviceRule.Kind]
            switch rule.type {
            case "b": kinds = [.block]
            case "c": kinds = [.character]
            default: kinds = [.block, .character]
            }
            let access = DeviceRule.Access(parsing: rule.access) ?? .all
            let isAll = rule.type == "a" && rule.major == nil && rule.minor == nil
            if isAll && access == .all {
                // It overrides all that stands before it.
                rules = []
                if rule.allows { rules = [DeviceRule(nil, nil, nil, .all)] }
                continue
            }
            for kind in kinds {
                var one = DeviceRule(
                    kind, rule.major.map { UInt32($0) }, rule.minor.map { UInt32($0) }, access)
                one.isForbidden = !rule.allows
                rules.append(one)
            }
        }
        rules += DeviceRule.defaults
    }

    /// Whether they stop nothing at all, as those of a privileged container.
    var allowEverything: Bool {
        allowsByDefault && !rules.contains(where: \.isForbidden)
    }

    private var allowsByDefault: Bool { rules.first == DeviceRule(nil, nil, nil, .all) }

    // book: begin bundle-devices
    /// What version 1 is told: what holds for every device, then the exceptions.
    ///
    /// It has one list of exceptions only, in no order. A rule against an exception before it
    /// takes that back; a rule against a part of one cannot be told.
    /// - Throws: `EINVAL` where that is asked for.
    func lists() throws(KernelError) -> (allowsRest: Bool, exceptions: [DeviceRule]) {
        var exceptions: [DeviceRule] = []
        for rule in allowsByDefault ? Array(rules.dropFirst()) : rules {
            if rule.isForbidden == allowsByDefault {
                exceptions.append(rule)
                continue
            }
            for index in exceptions.indices where exceptions[index].overlaps(rule) {
                guard exceptions[index].isWithin(rule) else {
                    throw KernelError(
                        "linux.resources.devices", rule.text, .invalidArgument,
                        remedy: "Version 1 of cgroups cannot take back a part of what"
                            + " \(exceptions[index].text) says: put the wider rule last.")
                }
                exceptions[index].access.subtract(rule.access)
            }
            exceptions.removeAll { $0.access.isEmpty }
        }
        return (allowsByDefault, exceptions)
    }
    // book: end bundle-devices
}

extension DeviceRule {
    fileprivate func overlaps(_ other: DeviceRule) -> Bool {
        kind == other.kind && !access.isDisjoint(with: other.access)
            && (major == nil || other.major == nil || major == other.major)
            && (minor == nil || other.minor == nil || minor == other.minor)
    }

    fileprivate func isWithin(_ other: DeviceRule) -> Bool {
        (other.major == nil || other.major == major) && (other.minor == nil || other.minor == minor)
    }
}

extension BundleDeviceRules {
    /// Has the kernel follow them in a cgroup, in whichever hierarchy does that.
    ///
    /// - Parameters:
    ///   - directories: the cgroup's.
    ///   - cgroup: its open directory of version 2.
    func apply(
        in directories: [ControlGroupDirectory], _ cgroup: CInt?
    ) throws(KernelError) {
        do throws(KernelError) {
            for directory in directories
            where directory.version == .v1 && fileType(directory.path + "/devices.allow") != nil {
                return try write(into: directory.path)
            }
            guard let cgroup, !allowEverything else { return }
            try attachDeviceProgram(
                DeviceRule.program(following: rules), to: cgroup,
                why: "asked from here on whenever a device is opened")
        } catch {
            // Who is not the machine's root cannot; nor can they make device nodes.
            guard error.errno == .notPermitted, !isMachinesRoot else { throw error }
        }
    }

    private func write(into directory: String) throws(KernelError) {
        let (allowsRest, exceptions) = try lists()
        let allow = try ControlFile(directory + "/devices.allow")
        let deny = try ControlFile(directory + "/devices.deny")
        if allowsRest {
            if readControl(directory + "/devices.list") != "a *:* rwm" {
                try allow.write("a", why: "every device")
            }
            for rule in exceptions { try deny.write(rule.text, why: "but not this one") }
            return
        }
        try deny.write("a", why: "no device at all")
        for rule in exceptions { try allow.write(rule.text, why: "but this one") }
    }
}
