import Kernel

/// /sys/fs/cgroup inside: where programs look how much of the machine is theirs.
///
/// A Java virtual machine, for one, reads its memory limit here and sizes its heap by it. The
/// cgroup namespace makes the sandbox's own cgroup the top of what is mounted.
public struct ControlGroupFilesystem: Mechanism {
    /// As the narrator calls it.
    public let name = "cgroup files"
    private let group: ControlGroup?

    /// Shows `group`; nothing where there is none.
    public init(of group: ControlGroup?) { self.group = group }

    private static let flags: MountFlags = [.readOnly, .noSetUID, .noDevices, .noExecution]

    // book: begin cgroup-mount
    /// Mounts them read-only: root inside is not to lift its own limits.
    public func enter() throws(KernelError) {
        let hierarchies = group?.hierarchies ?? []
        let old = hierarchies.filter { $0.version == .v1 }
        if old.isEmpty {
            for _ in hierarchies { try mountUnified(on: "/sys/fs/cgroup") }
            return
        }
        try mount(
            "tmpfs", on: "/sys/fs/cgroup", type: "tmpfs", [.noSetUID, .noDevices, .noExecution],
            options: "mode=755", why: "a directory for each hierarchy")
        for hierarchy in hierarchies {
            let name = split(hierarchy.mountPoint, at: "/").last ?? ""
            let target = "/sys/fs/cgroup/" + name
            try makeDirectory(target, why: "a place to mount on")
            if hierarchy.version == .v2 {
                try mountUnified(on: target)
            } else {
                try mount(
                    "cgroup", on: target, type: "cgroup", Self.flags,
                    options: join(hierarchy.controllers, with: ","),
                    why: "limits and usage, to be read")
            }
        }
        try mount(
            nil, on: "/sys/fs/cgroup", [.remount, .readOnly, .noSetUID, .noDevices, .noExecution],
            options: "mode=755", why: "nothing is to be added")
    }
    // book: end cgroup-mount

    private func mountUnified(on target: String) throws(KernelError) {
        try mount(
            "cgroup2", on: target, type: "cgroup2", Self.flags, why: "limits and usage, to be read")
    }
}
