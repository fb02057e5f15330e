import Glibc
import Isolation
import Kernel
import OCISpec
import Terminal

/// `hull-runtime spec`: a configuration to begin with.
enum SpecCommand {
    static let command = Command(
        "hull-runtime spec", "", "Write a config.json to begin with.",
        options: [
            Option("bundle", "b", .required("DIR"), "Where; the current directory if not given."),
            Option("rootless", nil, .none, "One that an ordinary user can run."),
        ])

    static func run(_ arguments: [String]) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        let path = (options.value("bundle") ?? ".") + "/config.json"
        let configuration = options.has("rootless") ? rootless : usual
        do {
            let file = try Descriptor.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o644)
            try file.write(configuration.text(indent: 4) + "\n")
        } catch {
            guard error.errno == .fileExists else { throw error.renamed("write", path) }
            throw KernelError(
                "write", path, .fileExists,
                remedy: "It would be overwritten: remove it first, or choose another directory.")
        }
        return 0
    }

    private static let capabilities: JSON = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]

    private static let process: JSON = [
        "terminal": true, "user": ["uid": 0, "gid": 0], "args": ["sh"],
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": [
            "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
        ],
        "rlimits": [["type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024]],
        "noNewPrivileges": true,
    ]

    private static func mount(
        _ target: String, _ type: String, _ source: String, _ options: JSON? = nil
    ) -> JSON {
        .object(present: [
            ("destination", .string(target)), ("type", .string(type)),
            ("source", .string(source)), ("options", options),
        ])
    }

    private static func mounts(isRootless: Bool) -> JSON {
        let terminals: JSON =
            isRootless
            ? ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
            : ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        let sys =
            isRootless
            ? mount("/sys", "none", "/sys", ["rbind", "nosuid", "noexec", "nodev", "ro"])
            : mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"])
        return [
            mount("/proc", "proc", "proc"),
            mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts", terminals),
            mount(
                "/dev/shm", "tmpfs", "shm",
                ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
            sys,
            mount(
                "/sys/fs/cgroup", "cgroup", "cgroup",
                ["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ]
    }

    private static func namespaces(_ kinds: [String]) -> JSON {
        .array(kinds.map { ["type": .string($0)] })
    }

    private static let masked: JSON = [
        "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware",
        "/proc/scsi",
    ]

    private static let readOnly: JSON = [
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
    ]

    /// As every runtime writes it.
    private static var usual: JSON {
        [
            "ociVersion": .string(Features.newestSpecification), "process": process,
            "root": ["path": "rootfs", "readonly": true], "hostname": "hull",
            "mounts": mounts(isRootless: false),
            "linux": [
                "resources": ["devices": [["allow": false, "access": "rwm"]]],
                "namespaces": namespaces(["pid", "network", "ipc", "uts", "mount", "cgroup"]),
                "maskedPaths": masked, "readonlyPaths": readOnly,
            ],
        ]
    }

    /// The same in a user namespace whose root is whoever asks.
    private static var rootless: JSON {
        func map(_ id: UInt32) -> JSON {
            [["containerID": 0, "hostID": .integer(Int(id)), "size": 1]]
        }
        return [
            "ociVersion": .string(Features.newestSpecification), "process": process,
            "root": ["path": "rootfs", "readonly": true], "hostname": "hull",
            "mounts": mounts(isRootless: true),
            "linux": [
                "uidMappings": map(geteuid()), "gidMappings": map(getegid()),
                "namespaces": namespaces(["pid", "ipc", "uts", "mount", "cgroup", "user"]),
                "maskedPaths": masked, "readonlyPaths": readOnly,
            ],
        ]
    }
}
