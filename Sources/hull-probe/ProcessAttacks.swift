import CLinux
import Glibc
import Kernel

// Processes: seeing them, killing them, outliving them.

extension Attack {
    /// Looks for processes that are none of the sandbox's business.
    ///
    /// /proc shows the processes of the PID namespace it was mounted for. A root directory of its
    /// own does not help: whoever is root mounts another /proc. In a PID namespace of its own the
    /// sandbox has numbers for its own processes only, so there is nothing else to show.
    ///
    /// Without MARKER every process counts that is neither the probe nor an ancestor of it. With
    /// it, only one whose command line holds MARKER; ancestors are left out there too, because
    /// the word was handed down through them.
    static let listProcesses = Attack(
        "list-processes", "[MARKER]", "Looks in /proc for processes outside the sandbox.",
        stoppedBy: .pid
    ) { arguments throws(KernelError) in
        let proc = try openProc()
        let own = lineage(in: proc)
        let others = try proc.processes().filter { !own.contains($0) }
        guard let marker = arguments.first else {
            guard let first = others.first else { return .stopped("no other process in /proc") }
            return .gotThrough(
                "sees \(others.count) other processes, such as \(first)"
                    + " (\(proc.status(first, "Name") ?? "gone"))")
        }
        for process in others {
            let words = ((try? proc.text("\(process)/cmdline")) ?? "").split(separator: "\0")
            let line = words.joined(separator: " ")
            if line.contains(marker) { return .gotThrough("sees process \(process): \(line)") }
        }
        return .stopped("none of \(others.count) other processes carries \(marker)")
    }

    /// Kills a process of the host by its number.
    ///
    /// `kill(2)` looks the number up in the caller's PID namespace. Without one of its own root
    /// may kill whatever runs. With one, the host's number belongs to nobody (`ESRCH`); give one
    /// too high to be in use inside. Signal 0 only asks whether a signal could be sent.
    static let signal = Attack(
        "signal", "PID [NUMBER]", "Sends a process of the host SIGTERM, or signal NUMBER.",
        stoppedBy: .pid
    ) { arguments throws(KernelError) in
        let number = arguments.count > 1 ? Int32(arguments[1]) : SIGTERM
        // 0 and negative numbers mean groups, -1 everything there is.
        guard let process = pid_t(arguments[0]), process > 0, process != getpid(), let number else {
            return .notTried("PID has to be one other process, NUMBER a signal")
        }
        guard kill(process, number) == 0 else {
            throw KernelError("kill", "process \(process)", .current)
        }
        return .gotThrough("sent signal \(number) to process \(process)")
    }

    /// Leaves a process behind that goes on when the sandbox is over.
    ///
    /// Two forks and `setsid(2)` in between: the parent is gone, no terminal and no process group
    /// ties it to anyone. That is how daemons start, and how a build leaves a miner behind. Only
    /// the end of a PID namespace reaches it: when process 1 of one ends, the kernel kills all
    /// the others. From inside the end cannot be seen; look on the host for the command line,
    /// which holds MARKER.
    static let outlive = Attack(
        "outlive", "SECONDS [MARKER]", "Leaves a daemon behind that outlives the sandbox.",
        stoppedBy: .pid
    ) { arguments throws(KernelError) in
        guard let seconds = UInt32(arguments[0]), seconds <= 3600 else {
            return .notTried("SECONDS has to be a number up to 3600")
        }
        let numbers = try orphans(1) {
            setsid()
            // Whoever reads the sandbox's output waits for its end.
            for descriptor: CInt in 0...2 { close(descriptor) }
            sleep(seconds)
        }
        let daemon = numbers.first.map(String.init) ?? "?"
        return .gotThrough("process \(daemon) goes on for \(seconds) s unless something kills it")
    }

    /// Fills the process table with the dead.
    ///
    /// A process that has ended stays, as a zombie, until its parent asks how it ended. An
    /// orphan's parent is process 1 of the PID namespace. On a host that is an init, which asks.
    /// In a sandbox it is whatever program was started, and most never ask: each zombie keeps a
    /// number, until there are none. `--init` puts a process there that does.
    static let zombies = Attack(
        "zombies", "COUNT", "Leaves orphans behind that nobody reaps.", stoppedBy: .initProcess
    ) { arguments throws(KernelError) in
        guard let count = Int(arguments[0]), 1...1000 ~= count else {
            return .notTried("COUNT has to be a number from 1 to 1000")
        }
        let proc = try openProc()
        let dead = try orphans(count) {}
        // A reaper needs a moment, even a good one.
        for _ in 0..<20 where dead.contains(where: { isZombie($0, in: proc) }) { usleep(10_000) }
        let left = dead.filter { isZombie($0, in: proc) }
        // Where the probe is process 1, they are its own.
        for process in left { waitpid(process, nil, WNOHANG) }
        guard left.isEmpty else { return .gotThrough("\(left.count) zombies of \(count) remain") }
        return .stopped("all \(count) orphans were reaped")
    }
}

/// The probe and its ancestors, up to the first that this /proc does not show.
private func lineage(in proc: borrowing Descriptor) -> Set<pid_t> {
    var line: Set<pid_t> = []
    var process = getpid()
    while process > 0, line.insert(process).inserted {
        process = proc.status(process, "PPid").flatMap { pid_t($0) } ?? 0
    }
    return line
}

/// Starts processes whose parent ends at once, and returns their numbers.
private func orphans(_ count: Int, _ work: () -> Void) throws(KernelError) -> [pid_t] {
    var ends: [CInt] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC) == 0 else { throw KernelError("pipe2", "", .current) }
    let reading = Descriptor(owning: ends[0])
    let writing = Descriptor(owning: ends[1])
    guard let parent = try forkProcess() else {
        do { try bearOrphans(count, telling: writing, work) } catch { _exit(1) }
        _exit(0)
    }
    _ = consume writing
    _ = try wait(for: parent)
    // All that was written is in the pipe by now: at most 8 bytes an orphan.
    let text = String(decoding: try reading.read(upTo: 1 << 14), as: UTF8.self)
    return text.split(separator: " ").compactMap { pid_t($0) }
}

/// The parent: it knows its children's numbers, tells them, and goes.
private func bearOrphans(
    _ count: Int, telling pipe: borrowing Descriptor, _ work: () -> Void
) throws(KernelError) {
    for _ in 0..<count {
        if let child = try forkProcess() {
            try pipe.write("\(child.rawValue) ")
        } else {
            close(pipe.number)
            work()
            _exit(0)
        }
    }
}

private func isZombie(_ process: pid_t, in proc: borrowing Descriptor) -> Bool {
    proc.status(process, "State")?.hasPrefix("Z") ?? false
}
