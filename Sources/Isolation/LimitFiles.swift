import Kernel

/// A value that is written into a file of a cgroup.
struct ControlSetting: Equatable {
    let file: String
    /// What the file is called where another scheduler is in charge.
    let otherFile: String?
    let value: String
    /// What goes into that other file, which may count differently.
    let otherValue: String

    init(
        _ file: String, or otherFile: String? = nil, _ value: String, or otherValue: String? = nil
    ) {
        self.file = file
        self.otherFile = otherFile
        self.value = value
        self.otherValue = otherValue ?? value
    }
}

/// One limit in both of the kernel's interfaces: which controller keeps it, and in which files.
struct LimitFiles {
    /// The option that asks for it.
    let option: String
    let why: StaticString
    let v1: (controller: String, settings: [ControlSetting])
    let v2: (controller: String, settings: [ControlSetting])
    /// Whether it is only our default, and a kernel that has no such file may go without.
    var isOptional = false

    func controller(in version: ControlGroupHierarchy.Version) -> String {
        version == .v1 ? v1.controller : v2.controller
    }

    func settings(in version: ControlGroupHierarchy.Version) -> [ControlSetting] {
        version == .v1 ? v1.settings : v2.settings
    }
}

extension LimitFiles {
    /// Sets it in a cgroup of the hierarchy that keeps it.
    ///
    /// Where two files bind each other, such as memory and memory with swap, raising both takes
    /// one order and lowering both the other. The kernel knows: what it refuses is tried again.
    func write(
        in directory: String, _ version: ControlGroupHierarchy.Version
    ) throws(KernelError) {
        var refused: [ControlSetting] = []
        for setting in settings(in: version) {
            do {
                try write(setting, in: directory)
            } catch {
                guard error.errno == .invalidArgument, settings(in: version).count > 1 else {
                    throw error
                }
                refused.append(setting)
            }
        }
        for setting in refused { try write(setting, in: directory) }
    }

    private func write(_ setting: ControlSetting, in directory: String) throws(KernelError) {
        var (path, value) = ("\(directory)/\(setting.file)", setting.value)
        if let other = setting.otherFile, fileType(path) == nil {
            (path, value) = ("\(directory)/\(other)", setting.otherValue)
        }
        if isOptional && fileType(path) == nil { return }
        do {
            try writeControl(path, value, why: why)
        } catch {
            throw error.renamed("limit \(option): write \(value) to", path)
                .advising(advice(for: error.errno))
        }
    }

    private func advice(for errno: Errno) -> String {
        switch errno {
        case .noSuchFile: "This kernel keeps no such limit; `hull doctor` lists what it has."
        case .noSuchDevice: "There is no such whole disk (not a partition) here."
        case .accessDenied, .notPermitted, .noSpace:
            "It asks for more than the cgroup above has."
        case .busy: "More than that is in use already."
        default: "The kernel does not take this value, or the cgroup above has less."
        }
    }
}

extension ResourceLimits {
    /// Every limit that is set, in an order that the kernel takes.
    var files: [LimitFiles] {
        memoryFiles + cpuFiles + processFiles + transferFiles
    }

    // book: begin limit-files
    private var memoryFiles: [LimitFiles] {
        var list: [LimitFiles] = []
        if let memory {
            list.append(
                LimitFiles(
                    option: "--memory", why: "what it needs beyond this, it is killed for",
                    v1: ("memory", [.init("memory.limit_in_bytes", "\(memory)")]),
                    v2: ("memory", [.init("memory.max", "\(memory)")])))
        }
        if let memory {
            // Version 1 counts both together, version 2 the swap alone.
            let both = memoryAndSwap ?? memory * 2
            let swap = both < 0 ? "max" : "\(both - memory)"
            list.append(
                LimitFiles(
                    option: "--memory-swap", why: "what does not fit may go to the disk, so much",
                    v1: ("memory", [.init("memory.memsw.limit_in_bytes", "\(both)")]),
                    v2: ("memory", [.init("memory.swap.max", swap)]),
                    isOptional: memoryAndSwap == nil))
        }
        if let memoryReservation {
            list.append(
                LimitFiles(
                    option: "--memory-reservation", why: "others are asked for memory first",
                    v1: (
                        "memory", [.init("memory.soft_limit_in_bytes", "\(memoryReservation)")]
                    ),
                    v2: ("memory", [.init("memory.low", "\(memoryReservation)")])))
        }
        return list
    }
    // book: end limit-files

    private var cpuFiles: [LimitFiles] {
        var list: [LimitFiles] = []
        if let cpuQuota {
            let period = Self.cpuPeriod
            list.append(
                LimitFiles(
                    option: "--cpus", why: "so many microseconds in each period, then it waits",
                    v1: (
                        "cpu",
                        [
                            .init("cpu.cfs_period_us", "\(period)"),
                            .init("cpu.cfs_quota_us", "\(cpuQuota)"),
                        ]
                    ),
                    v2: ("cpu", [.init("cpu.max", "\(cpuQuota) \(period)")])))
        }
        if let cpuWeight {
            list.append(
                LimitFiles(
                    option: "--cpu-shares", why: "its part where the CPUs do not suffice for all",
                    v1: ("cpu", [.init("cpu.shares", "\(cpuWeight.shares)")]),
                    v2: ("cpu", [.init("cpu.weight", "\(cpuWeight.weight)")])))
        }
        for (option, file, value) in [
            ("--cpuset-cpus", "cpuset.cpus", cpus), ("--cpuset-mems", "cpuset.mems", memoryNodes),
        ] {
            guard let value else { continue }
            let part = ("cpuset", [ControlSetting(file, value)])
            list.append(LimitFiles(option: option, why: "these and no others", v1: part, v2: part))
        }
        return list
    }

    private var processFiles: [LimitFiles] {
        guard let processes else { return [] }
        let part = ("pids", [ControlSetting("pids.max", "\(processes)")])
        return [
            LimitFiles(
                option: "--pids-limit", why: "fork fails when there are so many", v1: part, v2: part
            )
        ]
    }

    private var transferFiles: [LimitFiles] {
        var list: [LimitFiles] = []
        for transfer in transfers {
            list.append(
                LimitFiles(
                    option: "--io-max", why: "what comes faster waits",
                    v1: ("blkio", transfer.v1), v2: ("io", [transfer.v2])))
        }
        if let transferWeight {
            let value = "\(transferWeight)"
            list.append(
                LimitFiles(
                    option: "--io-weight", why: "its part where the disk does not suffice for all",
                    v1: ("blkio", [.init("blkio.bfq.weight", or: "blkio.weight", value)]),
                    v2: ("io", [.init("io.bfq.weight", or: "io.weight", value)])))
        }
        return list
    }
}

extension TransferLimit {
    /// A file for each kind.
    fileprivate var v1: [ControlSetting] {
        let kinds = [
            ("read_bps", readBytes), ("write_bps", writtenBytes), ("read_iops", reads),
            ("write_iops", writes),
        ]
        var settings: [ControlSetting] = []
        for (kind, limit) in kinds {
            guard let limit else { continue }
            settings.append(.init("blkio.throttle.\(kind)_device", "\(device) \(limit)"))
        }
        return settings
    }

    /// One line for all.
    fileprivate var v2: ControlSetting {
        var line = device
        let kinds = [
            ("rbps", readBytes), ("wbps", writtenBytes), ("riops", reads), ("wiops", writes),
        ]
        for (kind, limit) in kinds {
            if let limit { line += " \(kind)=\(limit)" }
        }
        return .init("io.max", line)
    }
}
