import Kernel

/// One directory of a cgroup: the hierarchy's interface, and where.
struct ControlGroupDirectory: Equatable, Sendable {
    let version: ControlGroupHierarchy.Version
    let path: String

    /// Which interface it has shows in its files.
    init(_ path: String) {
        self.path = path
        version = fileType(path + "/cgroup.controllers") == nil ? .v1 : .v2
    }

    init(_ version: ControlGroupHierarchy.Version, _ path: String) {
        self.version = version
        self.path = path
    }
}
