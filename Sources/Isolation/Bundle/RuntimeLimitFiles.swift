import Glibc
import Kernel
import OCISpec

/// A bundle's limits in the kernel's two interfaces.
struct RuntimeLimitFiles {
    let resources: RuntimeResources
    /// What a file of the cgroup says now. Version 2 has files that hold two limits, of which
    /// the one that is not spoken of stays as it is.
    let current: (String) -> String?

    /// Every limit that is set.
    /// - Throws: `EINVAL` for those that contradict each other.
    func files() throws(KernelError) -> [LimitFiles] {
        var list = try memoryFiles()
        list += cpuFiles() + cpuSetFiles() + processFiles()
        list += transferFiles() + hugePageFiles() + networkFiles() + rdmaFiles()
        return list
    }
}

// MARK: - Memory

extension RuntimeLimitFiles {
    private func memoryFiles() throws(KernelError) -> [LimitFiles] {
        let memory = resources.memory
        var (v1, v2): ([ControlSetting], [ControlSetting]) = ([], [])
        if let limit = memory.limit {
            v1.append(.init("memory.limit_in_bytes", "\(limit)"))
            v2.append(.init("memory.max", orMax(limit)))
        }
        // Unlimited memory with limited swap beside it would be no limit at all.
        if let both = memory.swap ?? (memory.limit == -1 ? -1 : nil) {
            v1.append(.init("memory.memsw.limit_in_bytes", "\(both)"))
            v2.append(.init("memory.swap.max", try swap(within: both)))
        }
        var list: [LimitFiles] = []
        if !v1.isEmpty {
            var files = LimitFiles(
                option: "linux.resources.memory.limit",
                why: "what it needs beyond this, it is killed for",
                v1: ("memory", v1), v2: ("memory", v2))
            // A kernel without swap accounting has no file for "no limit" either.
            files.isOptional = memory.limit == nil && memory.swap == -1
            list.append(files)
        }
        if let reservation = memory.reservation {
            list.append(
                LimitFiles(
                    option: "linux.resources.memory.reservation",
                    why: "others are asked for memory first",
                    v1: ("memory", [.init("memory.soft_limit_in_bytes", "\(reservation)")]),
                    v2: ("memory", [.init("memory.low", orMax(reservation))])))
        }
        return list + oldMemoryFiles()
    }

    /// Version 1 counts memory and swap together, version 2 the swap alone.
    private func swap(within both: Int) throws(KernelError) -> String {
        if both < 0 { return "max" }
        let limit =
            resources.memory.limit
            ?? (current("memory.max") ?? current("memory.limit_in_bytes")).flatMap { Int($0) }
        guard let limit, limit >= 0 else {
            throw KernelError(
                "limit", "linux.resources.memory.swap", .invalidArgument,
                remedy: "It counts memory and swap together: unable to set swap limit without"
                    + " memory limit.")
        }
        guard both >= limit else {
            throw KernelError(
                "limit", "linux.resources.memory.swap", .invalidArgument,
                remedy: "It counts memory too: memory+swap limit should be >= memory limit.")
        }
        return "\(both - limit)"
    }

    /// What only version 1 has. In version 2 there is nothing that they would change.
    private func oldMemoryFiles() -> [LimitFiles] {
        let memory = resources.memory
        let settings: [(String, StaticString, String, Int?)] = [
            (
                "kernelTCP", "the kernel's buffers count too", "memory.kmem.tcp.limit_in_bytes",
                memory.kernelTCP
            ),
            (
                "swappiness", "how gladly its pages are swapped out", "memory.swappiness",
                memory.swappiness
            ),
            (
                "disableOOMKiller", "whether it waits for memory or is killed",
                "memory.oom_control",
                memory.disablesOOMKiller.map { $0 ? 1 : 0 }
            ),
        ]
        var list: [LimitFiles] = []
        for (name, why, file, value) in settings {
            guard let value else { continue }
            list.append(
                LimitFiles(
                    option: "linux.resources.memory.\(name)", why: why,
                    v1: ("memory", [.init(file, "\(value)")]), v2: ("memory", [])))
        }
        return list
    }

    private func orMax(_ limit: Int) -> String { limit < 0 ? "max" : "\(limit)" }
}

// MARK: - CPU

extension RuntimeLimitFiles {
    private func cpuFiles() -> [LimitFiles] {
        let cpu = resources.cpu
        var list: [LimitFiles] = []
        if let shares = cpu.shares {
            list.append(
                LimitFiles(
                    option: "linux.resources.cpu.shares",
                    why: "its part where the CPUs do not suffice for all",
                    v1: ("cpu", [.init("cpu.shares", "\(shares)")]),
                    v2: ("cpu", [.init("cpu.weight", "\(Self.weight(shares: shares))")])))
        }
        if let bandwidth = bandwidth() { list.append(bandwidth) }
        if let idle = cpu.idle {
            let part = ("cpu", [ControlSetting("cpu.idle", "\(idle)")])
            list.append(
                LimitFiles(
                    option: "linux.resources.cpu.idle", why: "runs when nothing else does",
                    v1: part, v2: part))
        }
        var realtime: [ControlSetting] = []
        if let period = cpu.realtimePeriod {
            realtime.append(.init("cpu.rt_period_us", "\(period)"))
        }
        if let runtime = cpu.realtimeRuntime {
            realtime.append(.init("cpu.rt_runtime_us", "\(runtime)"))
        }
        if !realtime.isEmpty {
            // Version 2 leaves real-time processes alone.
            list.append(
                LimitFiles(
                    option: "linux.resources.cpu.realtimeRuntime",
                    why: "what real-time processes may take of each period",
                    v1: ("cpu", realtime), v2: ("cpu", [])))
        }
        return list
    }

    private func bandwidth() -> LimitFiles? {
        let cpu = resources.cpu
        var (v1, v2): ([ControlSetting], [ControlSetting]) = ([], [])
        if let period = cpu.period { v1.append(.init("cpu.cfs_period_us", "\(period)")) }
        if let quota = cpu.quota { v1.append(.init("cpu.cfs_quota_us", "\(quota)")) }
        if !v1.isEmpty {
            let now = words(of: current("cpu.max") ?? "max 100000")
            let quota = cpu.quota.map { $0 < 0 ? "max" : "\($0)" } ?? now.first ?? "max"
            let period = cpu.period.map { "\($0)" } ?? now.last ?? "100000"
            v2.append(.init("cpu.max", "\(quota) \(period)"))
        }
        if let burst = cpu.burst {
            v1.append(.init("cpu.cfs_burst_us", "\(burst)"))
            v2.append(.init("cpu.max.burst", "\(burst)"))
        }
        if v1.isEmpty { return nil }
        return LimitFiles(
            option: "linux.resources.cpu.quota",
            why: "so many microseconds in each period, then it waits",
            v1: ("cpu", v1), v2: ("cpu", v2))
    }

    /// Version 2's weight for version 1's shares, on a curve that runs through the two least, the
    /// two usual and the two greatest values: (2, 1), (1024, 100), (262144, 10000).
    ///
    /// A straight line, as there was before, makes 39 of the usual 1024, so that a container with
    /// them falls behind every process without.
    static func weight(shares: Int) -> Int {
        if shares <= 2 { return 1 }
        if shares >= 262_144 { return 10_000 }
        let steps = log2(Double(shares))
        let exponent = (steps * steps + 125 * steps) / 612 - 7.0 / 34
        return Int(pow(10, exponent).rounded(.up))
    }

    private func cpuSetFiles() -> [LimitFiles] {
        var list: [LimitFiles] = []
        for (name, file, value) in [
            ("cpus", "cpuset.cpus", resources.cpu.cpus),
            ("mems", "cpuset.mems", resources.cpu.memoryNodes),
        ] {
            guard let value else { continue }
            let part = ("cpuset", [ControlSetting(file, value)])
            list.append(
                LimitFiles(
                    option: "linux.resources.cpu.\(name)", why: "these and no others", v1: part,
                    v2: part))
        }
        return list
    }
}

// MARK: - The rest

extension RuntimeLimitFiles {
    private func processFiles() -> [LimitFiles] {
        guard let processes = resources.processes else { return [] }
        let part = ("pids", [ControlSetting("pids.max", orMax(processes))])
        return [
            LimitFiles(
                option: "linux.resources.pids.limit", why: "fork fails when there are so many",
                v1: part, v2: part)
        ]
    }

    private func transferFiles() -> [LimitFiles] {
        let blockIO = resources.blockIO
        var list: [LimitFiles] = []
        func add(_ name: String, _ v1: [ControlSetting], _ v2: [ControlSetting]) {
            if v1.isEmpty { return }
            list.append(
                LimitFiles(
                    option: "linux.resources.blockIO.\(name)",
                    why: "its part of the disk, and no more", v1: ("blkio", v1), v2: ("io", v2)))
        }
        if let weight = blockIO.weight {
            // Of the two schedulers one counts as before, the other to 10000.
            let other = "\(1 + (weight - 10) * 9999 / 990)"
            add(
                "weight", [.init("blkio.weight", or: "blkio.bfq.weight", "\(weight)")],
                [.init("io.bfq.weight", or: "io.weight", "\(weight)", or: other)])
        }
        if let weight = blockIO.leafWeight {
            add("leafWeight", [.init("blkio.leaf_weight", "\(weight)")], [])
        }
        for device in blockIO.weights {
            let line = "\(device.numbers) \(device.value)"
            add(
                "weightDevice",
                [.init("blkio.weight_device", or: "blkio.bfq.weight_device", line)],
                [.init("io.bfq.weight", line)])
        }
        for device in blockIO.leafWeights {
            let line = "\(device.numbers) \(device.value)"
            add("weightDevice", [.init("blkio.leaf_weight_device", line)], [])
        }
        for (name, v1, v2, devices) in [
            ("throttleReadBpsDevice", "read_bps", "rbps", blockIO.readBytes),
            ("throttleWriteBpsDevice", "write_bps", "wbps", blockIO.writtenBytes),
            ("throttleReadIOPSDevice", "read_iops", "riops", blockIO.reads),
            ("throttleWriteIOPSDevice", "write_iops", "wiops", blockIO.writes),
        ] {
            for device in devices {
                let rate = device.value == 0 ? "max" : "\(device.value)"
                add(
                    name,
                    [.init("blkio.throttle.\(v1)_device", "\(device.numbers) \(device.value)")],
                    [.init("io.max", "\(device.numbers) \(v2)=\(rate)")])
            }
        }
        return list
    }

    private func hugePageFiles() -> [LimitFiles] {
        var list: [LimitFiles] = []
        for (size, limit) in resources.hugePages {
            for reserved in ["", "rsvd."] {
                let v1 = ControlSetting("hugetlb.\(size).\(reserved)limit_in_bytes", "\(limit)")
                let v2 = ControlSetting("hugetlb.\(size).\(reserved)max", orMax(limit))
                list.append(
                    LimitFiles(
                        option: "linux.resources.hugepageLimits",
                        why: "what it maps beyond this, it is killed for",
                        v1: ("hugetlb", [v1]), v2: ("hugetlb", [v2]),
                        isOptional: reserved != ""))
            }
        }
        return list
    }

    /// In version 2 packets are told apart by their cgroup itself: there is nothing to be written.
    private func networkFiles() -> [LimitFiles] {
        var list: [LimitFiles] = []
        if let networkClass = resources.networkClass {
            list.append(
                LimitFiles(
                    option: "linux.resources.network.classID", why: "marks its packets",
                    v1: ("net_cls", [.init("net_cls.classid", "\(networkClass)")]),
                    v2: ("net_cls", [])))
        }
        for (interface, priority) in resources.networkPriorities {
            list.append(
                LimitFiles(
                    option: "linux.resources.network.priorities", why: "which packets go first",
                    v1: ("net_prio", [.init("net_prio.ifpriomap", "\(interface) \(priority)")]),
                    v2: ("net_prio", [])))
        }
        return list
    }

    private func rdmaFiles() -> [LimitFiles] {
        var list: [LimitFiles] = []
        for (device, handles, objects) in resources.rdma {
            var line = device
            if let handles { line += " hca_handle=\(handles)" }
            if let objects { line += " hca_object=\(objects)" }
            let part = ("rdma", [ControlSetting("rdma.max", line)])
            list.append(
                LimitFiles(
                    option: "linux.resources.rdma", why: "what it may hold of that device",
                    v1: part, v2: part))
        }
        return list
    }
}
