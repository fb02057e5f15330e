import Glibc
import Kernel
import OCISpec

extension RunningControlGroup {
    // book: begin update
    /// Sets what is given, and leaves all other limits as they are.
    ///
    /// - Throws: the first limit that the kernel refuses. Those before it are set then.
    public func update(_ resources: RuntimeResources) throws(KernelError) {
        try apply(resources, isNew: false)
    }
    // book: end update

    func apply(_ resources: RuntimeResources, isNew: Bool) throws(KernelError) {
        guard resources.hasLimits else { return }
        let places = directories.map { ControlGroupDirectory($0) }
        if resources.memory.checksBeforeUpdate { try checkMemory(resources.memory.limit) }
        let limits = RuntimeLimitFiles(resources: resources, current: isNew ? { _ in nil } : read)
        for limit in try limits.files() {
            guard let place = places.first(where: { limit.isKept(in: $0) }) else {
                if limit.hasNowhere(in: places) { continue }
                throw missing(limit)
            }
            try limit.write(in: place.path, place.version)
        }
        try writeUnified(resources.unified, in: places)
    }

    private func missing(_ limit: LimitFiles) -> KernelError {
        if directories.isEmpty {
            return KernelError(
                "cannot set", limit.option, .notPermitted,
                remedy: "The container could not join or create a cgroup. As an ordinary user, have"
                    + " one delegated: systemd-run --user --scope -p Delegate=yes COMMAND.")
        }
        return KernelError(
            "cannot set", limit.option, Errno(rawValue: EOPNOTSUPP),
            remedy: "The \(limit.v2.controller) controller is not there for it: the kernel lacks"
                + " it, or a cgroup above does not hand it down.")
    }

    /// A limit below what is used already would have the container killed at once.
    private func checkMemory(_ limit: Int?) throws(KernelError) {
        guard let limit, limit > 0,
            let used = (read("memory.current") ?? read("memory.usage_in_bytes")).flatMap({ Int($0) }
            ),
            limit < used
        else { return }
        throw KernelError(
            "rejecting memory limit", "\(limit)", .busy,
            remedy: "The container already uses \(used) bytes.")
    }

    /// Files of version 2 as they are named, last: whoever names them means them.
    private func writeUnified(
        _ files: StringMap, in places: [ControlGroupDirectory]
    ) throws(KernelError) {
        if files.entries.isEmpty { return }
        guard let place = places.first(where: { $0.version == .v2 }) else {
            throw KernelError(
                "invalid configuration: cannot use unified on cgroup v1", "linux.resources.unified",
                Errno(rawValue: EOPNOTSUPP),
                remedy: "It names files of version 2, which is not mounted here.")
        }
        for entry in files.entries {
            if Kernel.contains(entry.name, "/") {
                throw KernelError(
                    "unified resource", entry.name, .invalidArgument,
                    remedy: "It must be a file name (no slashes).")
            }
            let path = "\(place.path)/\(entry.name)"
            do {
                for line in split(entry.value, at: "\n") where !line.isEmpty {
                    try writeControl(path, line, why: "as the bundle has it")
                }
            } catch {
                throw error.renamed("linux.resources.unified: write \(entry.value) to", path)
                    .advising(
                        error.errno == .noSuchFile || error.errno == .accessDenied
                            ? "There is no such file in version 2 here: its controller is not"
                                + " enabled, or belongs to version 1." : "")
            }
        }
    }
}

extension LimitFiles {
    /// Whether the hierarchy of this directory has its controller, which shows in its files.
    fileprivate func isKept(in place: ControlGroupDirectory) -> Bool {
        guard let setting = settings(in: place.version).first else { return false }
        if fileType("\(place.path)/\(setting.file)") != nil { return true }
        return setting.otherFile.map { fileType("\(place.path)/\($0)") != nil } ?? false
    }

    /// Whether there is nothing to be written here at all.
    fileprivate func hasNowhere(in places: [ControlGroupDirectory]) -> Bool {
        if isOptional { return true }
        // Version 2 does without some of version 1's limits.
        return v2.settings.isEmpty && !places.isEmpty && !places.contains { $0.version == .v1 }
    }
}
