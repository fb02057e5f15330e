import CLinux
import Glibc
import Kernel

/// The directories of one sandbox's cgroup: one in each hierarchy that the host has.
///
///     v2       /sys/fs/cgroup/hull-ID
///     v1       /sys/fs/cgroup/memory/hull-ID, /sys/fs/cgroup/cpu/hull-ID, …
///     hybrid   both
///
/// The owner holds a lock on each of them. The kernel drops it when the owner dies, however it
/// dies, so a cgroup without one is abandoned: the next command sweeps it away. See `flock(2)`.
final class ControlGroupDirectories {
    /// One of them.
    final class Part {
        let hierarchy: ControlGroupHierarchy
        let path: String
        /// Holds the lock.
        let directory: Descriptor

        var version: ControlGroupHierarchy.Version { hierarchy.version }

        fileprivate init(named name: String, in hierarchy: ControlGroupHierarchy)
            throws(KernelError)
        {
            self.hierarchy = hierarchy
            path = hierarchy.path(of: name)
            directory = try makeLocked(path)
        }
    }

    /// Version 2 first.
    private(set) var parts: [Part] = []

    /// Makes one called `name` in every hierarchy.
    init(named name: String, in hierarchies: [ControlGroupHierarchy]) throws(KernelError) {
        do throws(KernelError) {
            for hierarchy in hierarchies { parts.append(try Part(named: name, in: hierarchy)) }
        } catch {
            try remove()
            throw error
        }
    }

    /// The directory that has a controller.
    func part(with controller: String) -> Part? {
        parts.first { $0.hierarchy.controllers.contains(controller) }
    }

    /// Where they are.
    var places: [ControlGroupDirectory] {
        parts.map { ControlGroupDirectory($0.version, $0.path) }
    }

    /// The open directory of version 2, to be born in.
    var descriptor: CInt? { parts.first { $0.version == .v2 }?.directory.number }

    // book: begin cgroup-remove
    /// Takes all of them away, the first one last: what is half removed is swept by the next.
    func remove() throws(KernelError) {
        while let part = parts.popLast() {
            try removeControlGroup(part.path)
        }
    }
    // book: end cgroup-remove
}

extension ControlGroupDirectories {
    // book: begin cgroup-sweep
    /// Ends and removes what killed owners left.
    ///
    /// What cannot be removed now stays for the next command: the one that runs has other work.
    static func sweep(_ hierarchies: [ControlGroupHierarchy]) {
        guard let first = hierarchies.first else { return }
        for name in sandboxes(in: first) {
            do throws(KernelError) {
                guard let abandoned = try lock(first.path(of: name)) else { continue }
                // All are told to end before one is waited for: a frozen process ends only when
                // its freezer lets go.
                let paths = hierarchies.map { $0.path(of: name) }
                for path in paths { killProcesses(in: path) }
                for path in paths.reversed() where fileType(path) != nil {
                    try removeControlGroup(path)
                }
                _ = consume abandoned
            } catch {}
        }
    }
    // book: end cgroup-sweep
}

extension ControlGroupHierarchy {
    /// Where in this hierarchy the cgroup of a sandbox is.
    func path(of name: String) -> String { "\(top)/\(prefix)\(name)" }
}

private let prefix = "hull-"

/// The names of the sandboxes that have a cgroup there, by their form: an administrator may have
/// cgroups that begin with the same word.
private func sandboxes(in hierarchy: ControlGroupHierarchy) -> [String] {
    var names: [String] = []
    for directory in namesOrNone(in: hierarchy.top) where directory.hasPrefix(prefix) {
        let name = directory.dropFirst(prefix.utf8.count)
        let isRandom = name.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
        if isRandom && name.utf8.count == 12 { names.append(String(name)) }
    }
    return names
}

private func makeLocked(_ path: String) throws(KernelError) -> Descriptor {
    while true {
        try makeDirectory(path, why: "the sandbox's cgroup: one directory per controller")
        // A sweeper may take it for an abandoned one before we have the lock, and remove it.
        while fileType(path) != nil {
            if let lock = try lock(path) { return lock }
            usleep(500)
        }
    }
}

/// - Returns: nil where somebody else has the lock, or removed the directory before we got it.
private func lock(_ path: String) throws(KernelError) -> Descriptor? {
    do throws(KernelError) {
        let directory = try Descriptor.open(path, O_RDONLY | O_DIRECTORY)
        if flock(directory.number, LOCK_EX | LOCK_NB) < 0 { return nil }
        var (locked, there) = (stat(), stat())
        let isThere = fstat(directory.number, &locked) == 0 && stat(path, &there) == 0
        if !isThere || locked.st_ino != there.st_ino { return nil }
        return directory
    } catch {
        if error.errno == .noSuchFile { return nil }
        throw error
    }
}
