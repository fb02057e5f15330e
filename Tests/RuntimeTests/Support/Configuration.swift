import Foundation
import OCISpec

@testable import TestSupport

extension JSON {
    /// The value at a path such as `process/args`; setting makes the objects on the way, and
    /// setting nil takes the member away.
    subscript(at path: String) -> JSON? {
        get { path.split(separator: "/").reduce(self) { $0?[String($1)] } }
        set { set(path.split(separator: "/").map(String.init)[...], newValue) }
    }

    private mutating func set(_ path: ArraySlice<String>, _ value: JSON?) {
        guard let name = path.first else { return self = value ?? .null }
        var members: [Member] = []
        if case .object(let own) = self { members = own }
        let position = members.firstIndex { $0.name == name }
        var child = position.map { members[$0].value } ?? .object([])
        if path.count == 1, value == nil {
            if let position { members.remove(at: position) }
        } else {
            child.set(path.dropFirst(), value)
            if let position {
                members[position].value = child
            } else {
                members.append(Member(name, child))
            }
        }
        self = .object(members)
    }

    /// Adds an element to the array at a path, which is made where there is none.
    mutating func append(_ element: JSON, at path: String) {
        self[at: path] = .array((self[at: path]?.elements ?? []) + [element])
    }

    /// Takes those elements out of the array at a path.
    mutating func remove(from path: String, where isUnwanted: (JSON) -> Bool) {
        self[at: path] = .array((self[at: path]?.elements ?? []).filter { !isUnwanted($0) })
    }

    /// The elements of an array; none for anything else.
    var elements: [JSON] {
        if case .array(let elements) = self { return elements }
        return []
    }

    /// The text of a string.
    var string: String? {
        if case .string(let text) = self { return text }
        return nil
    }

    /// A whole number.
    var number: Int? {
        if case .integer(let number) = self { return number }
        return nil
    }

    /// A program's output as JSON.
    init(output: String) throws { self = try JSON.parse(Array(output.utf8)) }
}

/// A bundle's config.json, as an engine writes it for a container with nothing special.
enum Configuration {
    static let capabilities = [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
        "CAP_SETUID", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_CHROOT",
        "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP",
    ]

    static func usual(cgroup: String) -> JSON {
        [
            "ociVersion": "1.0.2",
            "process": process,
            "root": ["path": "rootfs", "readonly": false],
            "hostname": .string(Place.randomWord()),
            "mounts": .array(mounts),
            "linux": [
                "cgroupsPath": .string(cgroup),
                "namespaces": .array(
                    ["pid", "ipc", "uts", "mount", "network", "cgroup"].map(namespace)),
                "resources": ["devices": [["allow": false, "access": "rwm"]]],
                "maskedPaths": .strings(masked),
                "readonlyPaths": .strings(readOnly),
            ],
        ]
    }

    private static let process: JSON = [
        "terminal": false,
        "user": ["uid": 0, "gid": 0],
        "args": ["sleep", "1000"],
        "env": ["PATH=/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": [
            "bounding": .strings(capabilities), "effective": .strings(capabilities),
            "permitted": .strings(capabilities),
        ],
        "noNewPrivileges": true,
    ]

    /// A namespace to be made, or one to be joined.
    static func namespace(_ kind: String, _ path: String?) -> JSON {
        .object(present: [("type", .string(kind)), ("path", path.map(JSON.string))])
    }

    static func namespace(_ kind: String) -> JSON { namespace(kind, nil) }

    static func mount(
        _ target: String, _ type: String, _ source: String, _ options: [String] = []
    ) -> JSON {
        [
            "destination": .string(target), "type": .string(type), "source": .string(source),
            "options": .strings(options),
        ]
    }

    private static let mounts = [
        mount("/proc", "proc", "proc"),
        mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts", "devpts", "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
        mount("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=1m"]),
        mount("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
    ]

    static let masked = [
        "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi",
        "/sys/firmware",
    ]
    static let readOnly = [
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
    ]
}
