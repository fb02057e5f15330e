import Glibc
import Kernel
import OCISpec

/// Where the cgroup of a container is, to be kept for later commands.
public struct ControlGroupPaths: Equatable, Sendable {
    /// Its directory in each hierarchy, version 2 first; empty where it has none.
    public var directories: [String] = []
    /// What was made above them, to be removed with the last one below it.
    public var parents: [String] = []
    /// The service manager's name for it, where the manager has made it.
    public var unit: String?

    /// No cgroup.
    public init() {}

    /// Reads what ``json`` has written.
    public init(_ json: JSONReader) throws(SpecificationError) {
        directories = try json["directories"].optionalStrings() ?? []
        parents = try json["parents"].optionalStrings() ?? []
        unit = try json["unit"].optionalString()
    }

    /// It as JSON.
    public var json: JSON {
        .object(present: [
            ("directories", .strings(directories)), ("parents", .strings(parents)),
            ("unit", unit.map(JSON.string)),
        ])
    }

    /// The cgroup, to be read, frozen, changed and emptied.
    public var running: RunningControlGroup { RunningControlGroup(directories: directories) }
}

extension ControlGroupPaths {
    /// Sets those limits that are given, and leaves all others as they are.
    ///
    /// - Throws: the first limit that the kernel refuses. Those before it are set then.
    public func update(_ resources: RuntimeResources) throws(KernelError) {
        if let unit {
            let isV2 = !directories.contains { ControlGroupDirectory($0).version == .v1 }
            try SystemdManager().update(unit, resources, isV2: isV2)
        }
        try running.update(resources)
    }

    /// Removes it: ends the processes that are still in it, waits for them to leave, and takes
    /// away what they made below it.
    ///
    /// - Throws: `EBUSY` where they do not leave.
    public func remove() throws(KernelError) {
        if let unit { SystemdManager().stop(unit) }
        var inhabited: [String] = []
        for directory in directories.reversed() {
            // Most often nobody is left in it, and then nobody needs to be looked for.
            do { try removeDirectory(directory, why: "the container has ended") } catch {
                if error.errno != .noSuchFile { inhabited.append(directory) }
            }
        }
        // All are told to end before one is waited for: a frozen process ends only when its
        // freezer lets go.
        for directory in inhabited { killProcesses(in: directory) }
        for directory in inhabited { try removeControlGroup(directory) }
        for parent in parents.reversed() {
            // Somebody else may use it by now.
            do { try removeDirectory(parent, why: "made for this container only") } catch {}
        }
    }
}
