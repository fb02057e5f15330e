import Isolation
import Kernel
import OCISpec
import Terminal

/// What this runtime is and can do. See runtime-spec, `features.md` and `features-linux.md`.
enum Features {
    /// The runtime's own version.
    static let version = "0.5.0"
    /// The oldest specification whose configurations it takes.
    static let oldestSpecification = "1.0.0"
    /// The newest that it knows all of.
    static let newestSpecification = "1.2.1"
}

/// `hull-runtime features`: the same as JSON, for callers.
enum FeaturesCommand {
    static let command = Command(
        "hull-runtime features", "", "Say what this runtime can do, as JSON.", options: [])

    static func run(_ arguments: [String]) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        Program.write(features.text(indent: 2) + "\n")
        return 0
    }

    private static var features: JSON {
        [
            "ociVersionMin": .string(Features.oldestSpecification),
            "ociVersionMax": .string(Features.newestSpecification),
            "hooks": [
                "prestart", "createRuntime", "createContainer", "startContainer", "poststart",
                "poststop",
            ],
            "mountOptions": .strings(BundleMounts.options),
            "linux": linux,
            "annotations": ["io.github.seccomp.libseccomp.version": .string(SeccompFilter.library)],
        ]
    }

    private static var linux: JSON {
        [
            "namespaces": .strings(RuntimeNamespace.Kind.allCases.map(\.rawValue)),
            "capabilities": .strings(CapabilitySet.all.numbers.map(CapabilitySet.name)),
            "cgroup": [
                "v1": true, "v2": true, "systemd": true, "systemdUser": false, "rdma": true,
            ],
            "seccomp": seccomp,
            "apparmor": ["enabled": true],
            "selinux": ["enabled": true],
            "intelRdt": ["enabled": false],
            "mountExtensions": ["idmap": ["enabled": true]],
        ]
    }

    private static var seccomp: JSON {
        let flags: JSON = [
            "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        ]
        return [
            "enabled": true,
            "actions": .strings(SeccompAction.names),
            "operators": .strings(SeccompArgument.Comparison.allCases.map(\.rawValue)),
            "archs": .strings(SeccompFilter.architectures),
            "knownFlags": flags, "supportedFlags": flags,
        ]
    }
}
