import CLinux
import Glibc
import Images
import Isolation
import Kernel

extension Doctor {
    static func overlayFilesystem() -> Finding {
        let known = (try? readText("/proc/filesystems")) ?? ""
        if known.split(separator: "\n").contains(where: { $0.hasSuffix("\toverlay") }) {
            return .ok("overlayfs", "in this kernel")
        }
        // A module is loaded by the first mount; the next checks try one.
        return .warning(
            "overlayfs", "not loaded", costs: "stage 3 and `hull run`, unless a mount loads it",
            remedy: "sudo modprobe overlay")
    }

    /// Where sandboxes write, and where images and containers stay.
    static func storage(_ state: StateDirectories, _ isRoot: Bool) -> [Finding] {
        [
            upperLayer("scratch directory", state.scratch, isRoot),
            upperLayer("state directory", state.root + "/doctor", shown: state.root, isRoot),
            driver(state.root),
            space(state.root),
        ]
    }

    /// What `hull run` takes where nobody says which.
    private static func driver(_ root: String) -> Finding {
        do {
            switch try StorageDriver(nil, stateRoot: root) {
            case .overlay: return .ok("storage driver", "overlay: layers are shared")
            case .copy:
                return .warning(
                    "storage driver", "copy: each container is a copy of its image",
                    costs: "time and room for each container",
                    remedy: "set HULL_ROOT to a directory on ext4, xfs, btrfs or tmpfs")
            }
        } catch {
            return .missing(
                "storage driver", "HULL_STORAGE_DRIVER names none", costs: "`hull run`",
                remedy: "unset it, or set it to overlay or copy")
        }
    }

    /// Overlayfs wants more of the file system with the writable layer than a place to write:
    /// another overlay will not do, nor will NFS.
    private static func upperLayer(
        _ check: String, _ path: String, shown: String? = nil, _ isRoot: Bool
    ) -> Finding {
        let shown = shown ?? path
        var refusal: Errno?
        do {
            try withTrialDirectory(in: path) { directory in
                refusal = trial { () throws(KernelError) in
                    try mountOverlay(in: directory, isRoot)
                }
            }
        } catch {
            return .missing(
                check, "\(shown) cannot be written: \(error.errno.meaning) (\(error.errno.name))",
                costs: "stage 3 and `hull run`",
                remedy: "set HULL_ROOT to a directory that you can write", isNeeded: true)
        }
        guard let refusal else { return .ok(check, "\(shown) holds an overlay") }
        return .missing(
            check, "\(shown) takes no overlay: \(refusal.meaning) (\(refusal.name))",
            costs: "stage 3 and `hull run`",
            remedy: remedy(for: refusal, isRoot),
            isNeeded: true)
    }

    private static func space(_ path: String) -> Finding {
        var existing = path
        while fileType(existing) == nil, let slash = existing.lastIndex(of: "/") {
            existing = slash == existing.startIndex ? "/" : String(existing[..<slash])
        }
        var status = statvfs()
        guard statvfs(existing, &status) == 0 else {
            return .warning(
                "disk space", "\(existing): \(Errno.current.meaning)", costs: "nothing known",
                remedy: "df -h \(existing)")
        }
        let free = (status.f_bavail * UInt(status.f_frsize)) >> 20
        let detail = free > 10 << 10 ? "\(free >> 10) GiB free" : "\(free) MiB free"
        if free >= 1024 { return .ok("disk space", "\(detail) for \(path)") }
        return .warning(
            "disk space", "\(detail) for \(path)", costs: "images of ordinary size do not fit",
            remedy: "make room, or set HULL_ROOT to a roomier place")
    }
}

private func remedy(for refusal: Errno, _ isRoot: Bool) -> String {
    if !isRoot { return "sudo hull …" }
    if refusal == .notPermitted { return "see capabilities" }
    return "set HULL_ROOT to a directory on ext4, xfs, btrfs or tmpfs"
}

private func mountOverlay(in directory: String, _ isRoot: Bool) throws(KernelError) {
    for name in ["lower", "upper", "work", "merged"] {
        try makeDirectory("\(directory)/\(name)", why: "overlayfs asks for it")
    }
    try enterNamespaces(CLONE_NEWNS, isRoot: isRoot)
    try mount(nil, on: "/", [.recursive, .private], why: "nothing of this reaches the host")
    let layers = ["lower", "upper", "work"].map { "\($0)dir=\(directory)/\($0)" }
    try mount(
        "overlay", on: directory + "/merged", type: "overlay",
        options: layers.joined(separator: ","), why: "the question is whether this works")
    // Some file systems are taken and refuse the first write.
    try makeDirectory(directory + "/merged/write", why: "the question is whether this works")
}
