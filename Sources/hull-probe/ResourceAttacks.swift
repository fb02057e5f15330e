import CLinux
import Glibc
import Kernel

// More than one's share of the machine. Each is told how far to go, so that none does harm
// where nothing stops it.

extension Attack {
    /// Starts processes until the kernel starts no more.
    ///
    /// The table of processes is the whole machine's, and when it is full nobody can even log
    /// in to clean up. The pids controller of a cgroup lets `fork(2)` fail (`EAGAIN`) first. The
    /// probe's processes do nothing, and end with it.
    static let forkBomb = Attack(
        "fork-bomb", "COUNT", "Starts processes, COUNT of them if it can.", stoppedBy: .cgroups
    ) { arguments throws(KernelError) in
        guard let count = Int(arguments[0]), 1...5000 ~= count else {
            return .notTried("COUNT has to be a number from 1 to 5000")
        }
        var children: [ProcessID] = []
        defer { end(children) }
        while children.count < count {
            do throws(KernelError) {
                guard let child = try forkProcess() else { waitForever() }
                children.append(child)
            } catch {
                return .stopped("after \(children.count) processes: \(error.reason)")
            }
        }
        return .gotThrough("\(count) processes at once")
    }

    /// Takes memory until the kernel kills.
    ///
    /// Where there is no limit the kernel picks, when the machine has no more, whichever process
    /// it likes least: seldom the guilty one. In a cgroup with a limit it picks one of the
    /// cgroup. The probe takes the memory in a child, so that it can tell the tale.
    static let memoryHog = Attack(
        "memory-hog", "MEBIBYTES", "Takes memory, MEBIBYTES of it if it can.", stoppedBy: .cgroups
    ) { arguments throws(KernelError) in
        guard let count = Int(arguments[0]), 1...1024 ~= count else {
            return .notTried("MEBIBYTES has to be a number from 1 to 1024")
        }
        var ends: [CInt] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw KernelError("pipe2", "", .current) }
        let reading = Descriptor(owning: ends[0])
        let writing = Descriptor(owning: ends[1])
        guard let child = try forkProcess() else {
            takeMemory(count, telling: writing.number)
        }
        _ = consume writing
        let status = try wait(for: child)
        let taken = try reading.readAll().count
        if status == .exited(0) { return .gotThrough("\(taken) MiB of memory") }
        return .stopped("killed after \(taken) MiB of memory")
    }

    /// Keeps every CPU busy.
    ///
    /// The scheduler is fair between processes, so whoever has more of them gets more. A cgroup
    /// has one share, or a quota, however many processes are in it.
    static let cpuHog = Attack(
        "cpu-hog", "MILLISECONDS PERCENT", "Keeps CPUs busy: more than PERCENT of one?",
        stoppedBy: .cgroups
    ) { arguments throws(KernelError) in
        guard let time = Int(arguments[0]), 1...60_000 ~= time, let percent = Int(arguments[1])
        else { return .notTried("MILLISECONDS is at most 60000, PERCENT a number") }
        let start = now(CLOCK_MONOTONIC)
        var children: [ProcessID] = []
        // Many, to get what was asked for on a machine that is busy with other things too.
        for _ in 0..<16 * sysconf(CInt(_SC_NPROCESSORS_ONLN)) {
            guard let child = try forkProcess() else {
                while now(CLOCK_MONOTONIC) - start < time * 1000 {}
                _exit(0)
            }
            children.append(child)
        }
        for child in children { _ = try wait(for: child) }
        let used = cpuTimeOfChildren() * 100 / max(now(CLOCK_MONOTONIC) - start, 1)
        let text = "\(used)% of a CPU with \(children.count) processes"
        return used > percent ? .gotThrough(text) : .stopped(text)
    }

    /// Writes as fast as the disk takes it.
    ///
    /// Past the page cache, so that what is measured is the disk. A cgroup's limit on a device
    /// makes the writes wait.
    static let diskHog = Attack(
        "disk-hog", "PATH MEBIBYTES RATE", "Overwrites PATH: faster than RATE MiB/s?",
        stoppedBy: .cgroups
    ) { arguments throws(KernelError) in
        guard let count = Int(arguments[1]), 1...256 ~= count, let rate = Double(arguments[2])
        else { return .notTried("MEBIBYTES is at most 256, RATE a number") }
        let file = try Descriptor.open(arguments[0], O_WRONLY | CInt(linux_O_DIRECT))
        let start = now(CLOCK_MONOTONIC)
        try writeZeros(count << 20, to: file)
        let seconds = Double(max(now(CLOCK_MONOTONIC) - start, 1)) / 1_000_000
        let reached = Double(count) / seconds
        let text = "\((reached * 10).rounded() / 10) MiB/s"
        return reached > rate ? .gotThrough(text) : .stopped(text)
    }
}

private func waitForever() -> Never {
    _ = prctl_set(CInt(linux_PR_SET_PDEATHSIG), UInt(SIGKILL))
    while true { pause() }
}

private func end(_ children: [ProcessID]) {
    for child in children { kill(child.rawValue, SIGKILL) }
    for child in children { waitpid(child.rawValue, nil, 0) }
}

/// One byte to `pipe` for each mebibyte that is really there: memory that nobody wrote to is none.
private func takeMemory(_ count: Int, telling pipe: CInt) -> Never {
    for _ in 0..<count {
        let memory = mmap(nil, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else { _exit(1) }
        memset(memory, 1, 1 << 20)
        var byte: UInt8 = 0
        _ = write(pipe, &byte, 1)
    }
    _exit(0)
}

/// In microseconds.
private func now(_ clock: clockid_t) -> Int {
    var time = timespec()
    clock_gettime(clock, &time)
    return time.tv_sec * 1_000_000 + time.tv_nsec / 1000
}

/// In microseconds; of those that were waited for.
private func cpuTimeOfChildren() -> Int {
    var usage = rusage()
    getrusage(RUSAGE_CHILDREN.rawValue, &usage)
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1_000_000
        + Int(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
}

private func writeZeros(_ count: Int, to file: borrowing Descriptor) throws(KernelError) {
    let size = 256 << 10
    // Direct writes want memory that begins at a page.
    guard let buffer = aligned_alloc(4096, size) else {
        throw KernelError("malloc", "a buffer", .current)
    }
    defer { free(buffer) }
    memset(buffer, 0, size)
    var done = 0
    while done < count {
        let put = write(file.number, buffer, size)
        guard put > 0 else { throw KernelError("write", "the disk", .current) }
        done += put
    }
}
