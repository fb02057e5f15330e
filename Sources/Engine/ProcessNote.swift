import Isolation
import Kernel

/// Notes which process became the container, in a file `process` in its directory: who wants to
/// join one of its namespaces needs a way there.
struct ProcessNote: Mechanism {
    let name = "process note"
    private let path: String

    init(in directory: String) { path = directory + "/process" }

    /// Not durable: a process is gone after a power cut.
    mutating func adopt(_ child: ProcessID) throws(KernelError) {
        let note = "\(try RunningProcess(child))"
        try replaceFile(path, with: note.utf8, durable: false)
    }
}

extension Container {
    /// The process that became it.
    /// - Throws: `ESRCH` where it does not run.
    public func process() throws(KernelError) -> RunningProcess {
        let text: String
        do { text = try readText(directory + "/process") } catch { throw isNotRunning }
        guard isRunning, let process = RunningProcess(text), process.isRunning else {
            throw isNotRunning
        }
        return process
    }

    private var isNotRunning: KernelError {
        KernelError(
            "find process of container", record.id, .noSuchProcess,
            remedy: "It does not run; `hull ps` tells what does.")
    }
}
