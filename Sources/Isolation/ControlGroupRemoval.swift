import Glibc
import Kernel

// book: begin cgroup-kill
/// Kills every process in a cgroup and below it.
func killProcesses(in directory: String) {
    do throws(KernelError) {
        for child in subdirectories(of: directory) { killProcesses(in: "\(directory)/\(child)") }
        let kill = directory + "/cgroup.kill"
        if fileType(kill) != nil {
            return try writeControl(kill, "1", why: "they are to end, all at once")
        }
        for number in split(readControl(directory + "/cgroup.procs") ?? "", at: "\n") {
            if let process = pid_t(number) { try send(SIGKILL, to: ProcessID(rawValue: process)) }
        }
        let freezer = directory + "/freezer.state"
        if fileType(freezer) != nil {
            try writeControl(freezer, "THAWED", why: "frozen, it could not even die")
        }
    } catch {}
}
// book: end cgroup-kill

/// Removes a cgroup with what the sandbox made below it.
///
/// Processes that have been killed need a moment to leave it; those that were not are.
/// - Throws: `EBUSY` where they do not leave.
func removeControlGroup(_ path: String) throws(KernelError) {
    for attempt in 0... {
        do {
            return try removeDirectory(path, why: "the sandbox has ended")
        } catch {
            if error.errno == .noSuchFile { return }
            if error.errno != .busy || attempt == 1000 { throw error }
        }
        for child in subdirectories(of: path) { try removeControlGroup("\(path)/\(child)") }
        // Those that have ended leave within a moment, longer on a busy machine.
        if attempt >= 50 { killProcesses(in: path) }
        usleep(1000)
    }
}

func subdirectories(of path: String) -> [String] {
    namesOrNone(in: path).filter { fileType("\(path)/\($0)") == .directory }
}

func namesOrNone(in path: String) -> [String] {
    do { return try namesInDirectory(path) } catch { return [] }
}
