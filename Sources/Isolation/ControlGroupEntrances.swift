import Glibc
import Kernel

/// The doors of version 1's cgroups, held open for a process that is to go in by itself.
///
/// Whoever writes another's number into `cgroup.procs` has the kernel stop all forks of the
/// machine meanwhile, and wait until everyone has noticed: 6 ms on average were measured, and 30
/// at times. A thread that moves itself, by writing 0 into `tasks`, keeps nobody waiting; and a
/// process that has just been born is one thread. See `cgroups(7)`, and `cgroup_attach_lock` in
/// the kernel.
///
/// The kernel asks who has opened a file, not who writes: so what its maker may do, a sandbox
/// that has become somebody else may do once.
final class ControlGroupEntrances {
    private var doors: [(number: CInt, directory: String)] = []

    /// Opens those of version 1 among `directories`. In version 2 a process is born in its cgroup.
    init(_ directories: [ControlGroupDirectory]) throws(KernelError) {
        for directory in directories where directory.version == .v1 {
            let door = try Descriptor.open(directory.path + "/tasks", O_WRONLY)
            doors.append((door.release(), directory.path))
        }
    }

    /// Opens those of version 1 among `paths`, which only version 1 has.
    ///
    /// - Parameter unified: becomes the path that is version 2's, if there is one.
    init(_ paths: [String], unified: inout String?) throws(KernelError) {
        for path in paths {
            do throws(KernelError) {
                let door = try Descriptor.open(path + "/tasks", O_WRONLY)
                doors.append((door.release(), path))
            } catch  where error.errno == .noSuchFile {
                unified = path
            }
        }
    }

    deinit { for door in doors { close(door.number) } }

    /// What has to stay open.
    var descriptors: [CInt] { doors.map { $0.number } }

    // book: begin entrances
    /// Goes in, and closes each door behind itself.
    func enter() throws(KernelError) {
        for door in doors {
            try moveOneself(
                through: door.number, into: door.directory, why: "from here on it is counted")
            close(door.number)
        }
        doors = []
    }
    // book: end entrances
}
