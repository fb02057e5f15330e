import Kernel

/// A /proc that shows the sandbox's processes. See `proc(5)`.
///
/// /proc belongs to the PID namespace of the process that mounts it. Without this a sandbox
/// would either have none, or look at the host's processes through the host's.
public struct ProcFilesystem: Mechanism {
    /// As the narrator calls it.
    public let name = "proc"

    private let borrowed: BorrowedMounts?

    /// Mounted on /proc of the sandbox's root.
    ///
    /// - Parameter borrowed: where a user namespace has it from.
    public init(_ borrowed: BorrowedMounts? = nil) { self.borrowed = borrowed }

    // book: begin proc-enter
    /// Mounts it, from inside: the mounter's namespace is what it shows.
    public func enter() throws(KernelError) {
        do {
            if let borrowed { return try borrowed.attachProc() }
            try mount(
                "proc", on: "/proc", type: "proc", [.noSetUID, .noDevices, .noExecution],
                why: "ps, top and many others read processes from here")
        } catch {
            guard error.errno == .noSuchFile || error.errno == .notDirectory else { throw error }
            throw error.advising("The root file system needs an empty directory proc: make one.")
        }
    }
    // book: end proc-enter
}
