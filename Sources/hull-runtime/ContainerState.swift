import CLinux
import Glibc
import Isolation
import Kernel
import OCISpec

/// How a container is. See runtime-spec, `runtime.md`, "State".
enum ContainerStatus: String {
    /// Its process waits to be started.
    case created
    /// Its process runs.
    case running
    /// Its processes are frozen.
    case paused
    /// Its process has ended.
    case stopped
}

/// What is known of a container between two commands: `state.json` in its directory.
struct ContainerState {
    let id: String
    /// The version of the specification that its configuration was written for.
    let version: String
    /// The bundle's directory.
    let bundle: String
    /// The root file system's directory.
    let rootfs: String
    let created: String
    let annotations: StringMap
    let process: RunningProcess
    /// Who it was made by.
    let owner: String
    let controlGroup: ControlGroupPaths

    /// - Parameter process: as the host numbers it.
    init(
        of configuration: RuntimeConfiguration, id: String, bundle: String, rootfs: String,
        process: RunningProcess, controlGroup: ControlGroupPaths
    ) {
        self.id = id
        version = configuration.version
        self.bundle = bundle
        self.rootfs = rootfs
        created = "\(Timestamp.now)"
        annotations = configuration.annotations
        self.process = process
        owner = Self.userName(geteuid())
        self.controlGroup = controlGroup
    }

    init(_ json: JSONReader) throws(SpecificationError) {
        id = try json["id"].string()
        version = try json["ociVersion"].string()
        bundle = try json["bundle"].string()
        rootfs = try json["rootfs"].string()
        created = try json["created"].string()
        annotations = try json["annotations"].stringMap()
        owner = try json["owner"].string()
        guard let process = RunningProcess(try json["process"].string()) else {
            throw json["process"].error("it should be a number and a start")
        }
        self.process = process
        controlGroup = try ControlGroupPaths(json["cgroup"])
    }

    var json: JSON {
        .object(present: [
            ("ociVersion", .string(version)), ("id", .string(id)), ("bundle", .string(bundle)),
            ("rootfs", .string(rootfs)), ("created", .string(created)),
            ("owner", .string(owner)), ("process", .string(process.description)),
            ("cgroup", controlGroup.json), ("annotations", annotations.json),
        ])
    }

    /// The state as the specification has it, and callers read it.
    func report(_ status: ContainerStatus) -> JSON {
        let pid = status == .stopped ? 0 : Int(process.id.rawValue)
        return .object(present: [
            ("ociVersion", .string(version)), ("id", .string(id)), ("pid", .integer(pid)),
            ("status", .string(status.rawValue)), ("bundle", .string(bundle)),
            ("rootfs", .string(rootfs)), ("created", .string(created)),
            ("owner", .string(owner)), ("annotations", annotations.json),
        ])
    }

    /// As far as the machine's /etc/passwd knows it.
    private static func userName(_ user: uid_t) -> String {
        user == 0 ? "root" : SubordinateIDs.userName(user) ?? "\(user)"
    }

    /// What hooks are told of it.
    var hookState: HookState {
        HookState(version: version, id: id, bundle: bundle, annotations: annotations)
    }
}
