import CLinux
import Glibc
import Kernel

// Out of the cgroup, by the files of the cgroups themselves.

extension Attack {
    /// Has the host's kernel run a program of the sandbox's, as root.
    ///
    /// The top of a version 1 hierarchy names a program that the kernel starts, outside of all
    /// sandboxes, when a cgroup runs empty. Whoever can mount the hierarchy and sees its top can
    /// name another. In a cgroup namespace the top of what is mounted is the sandbox's own
    /// cgroup, which has no such file. The probe writes back what was in it. See `cgroups(7)`,
    /// "Cgroups v1 release notification".
    static let releaseAgent = Attack(
        "release-agent", "", "Writes what program the host starts when a cgroup is empty.",
        stoppedBy: .cgroups
    ) { _ throws(KernelError) in
        try withOldHierarchy { directory throws(KernelError) in
            let path = directory + "/release_agent"
            guard fileType(path) != nil else {
                return .stopped("the topmost cgroup in sight has no release_agent")
            }
            let agent = try readText(path)
            let file = try Descriptor.open(path, O_WRONLY)
            try file.write(agent.isEmpty ? "\n" : agent)
            return .gotThrough("release_agent of the host's hierarchy can be written")
        }
    }

    /// Moves to the topmost cgroup, where nothing is limited.
    ///
    /// A process goes where its number is written. In a cgroup namespace it cannot be written
    /// anywhere but into the sandbox's own cgroup and those below.
    static let leaveCgroup = Attack(
        "leave-cgroup", "", "Moves to the topmost cgroup of the host.", stoppedBy: .cgroups
    ) { _ throws(KernelError) in
        try withOldHierarchy { directory throws(KernelError) in
            let file = try Descriptor.open(directory + "/cgroup.procs", O_WRONLY)
            try file.write("\(getpid())")
            // Only a true top has this file, or lacks that one.
            let isTop =
                fileType(directory + "/release_agent") != nil
                || (fileType(directory + "/cgroup.controllers") != nil
                    && fileType(directory + "/cgroup.type") == nil)
            return isTop
                ? .gotThrough("is in the host's topmost cgroup")
                : .stopped("the topmost cgroup in sight is the sandbox's own")
        }
    }
}

/// Mounts a hierarchy that can be written: that of version 1's pids, freezer or devices, or
/// version 2's. It goes again with the probe's mount.
private func withOldHierarchy(
    _ body: (String) throws(KernelError) -> Outcome
) throws(KernelError) -> Outcome {
    let directory = "/tmp/.hull-probe-\(randomName())"
    guard mkdir(directory, 0o700) == 0 else {
        return .notTried(KernelError("mkdir", directory, .current))
    }
    defer { rmdir(directory) }
    for (type, options) in [
        ("cgroup", "pids"), ("cgroup", "freezer"), ("cgroup", "devices"), ("cgroup2", nil),
    ] {
        if mount("cgroup", directory, type, 0, options) == 0 {
            defer { umount2(directory, CInt(MNT_DETACH)) }
            return try body(directory)
        }
        let errno = Errno.current
        if errno == .notPermitted || errno == .accessDenied {
            throw KernelError("mount", type, errno)
        }
    }
    return .notTried("no hierarchy can be mounted")
}
