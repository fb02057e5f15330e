/// How much of the machine a container may use. See runtime-spec, config-linux.md, "Control
/// groups": the member `linux.resources`.
///
/// What is nil is not limited. Runtimes have always taken a 0 for "not limited" where it would
/// make no sense as a limit, and callers write it: it is nil here too.
public struct RuntimeResources: Equatable, Sendable {
    /// Which devices may be used; see ``RuntimeDeviceRule``. The order counts.
    public var devices: [RuntimeDeviceRule] = []
    /// Memory.
    public var memory = RuntimeMemory()
    /// CPU time and CPUs.
    public var cpu = RuntimeCPU()
    /// The number of processes and threads; -1 for no limit.
    public var processes: Int?
    /// Block devices.
    public var blockIO = RuntimeBlockIO()
    /// Bytes of huge pages, by page size such as `2MB`.
    public var hugePages: [(size: String, limit: Int)] = []
    /// The class of its network packets, for version 1's net_cls.
    public var networkClass: Int?
    /// The priority of its packets by interface, for version 1's net_prio.
    public var networkPriorities: [(interface: String, priority: Int)] = []
    /// Handles and objects by RDMA device.
    public var rdma: [(device: String, handles: Int?, objects: Int?)] = []
    /// Files of version 2 and what is written into them.
    public var unified = StringMap()

    /// No limits.
    public init() {}

    /// Reads the object; nothing is limited where it is absent.
    /// - Throws: what is wrong with it, and where.
    public init(_ json: JSONReader) throws(SpecificationError) {
        guard let json = try json.present?.object() else { return }
        for rule in try json["devices"].present?.array() ?? [] {
            devices.append(try RuntimeDeviceRule(rule))
        }
        memory = try RuntimeMemory(json["memory"])
        cpu = try RuntimeCPU(json["cpu"])
        // Nobody can be nothing: 0 is what lets the first process start and no other.
        processes = try json["pids"]["limit"].present?.integer()
        if processes == 0 { processes = 1 }
        blockIO = try RuntimeBlockIO(json["blockIO"])
        for entry in try json["hugepageLimits"].present?.array() ?? [] {
            hugePages.append((try entry["pageSize"].string(), try entry["limit"].integer()))
        }
        networkClass = try json["network"]["classID"].limit()
        for entry in try json["network"]["priorities"].present?.array() ?? [] {
            networkPriorities.append(
                (try entry["name"].string(), try entry["priority"].integer()))
        }
        for name in try json["rdma"].names() {
            let entry = json["rdma"][name]
            rdma.append(
                (
                    name, try entry["hcaHandles"].present?.integer(),
                    try entry["hcaObjects"].present?.integer()
                ))
        }
        unified = try json["unified"].stringMap()
    }

    /// Whether anything is limited but devices.
    public var hasLimits: Bool {
        memory != RuntimeMemory() || cpu != RuntimeCPU() || processes != nil
            || blockIO != RuntimeBlockIO() || networkClass != nil || !hugePages.isEmpty
            || !networkPriorities.isEmpty || !rdma.isEmpty || !unified.entries.isEmpty
    }

    /// Whether two ask for the same.
    public static func == (one: RuntimeResources, other: RuntimeResources) -> Bool {
        one.devices == other.devices && one.memory == other.memory && one.cpu == other.cpu
            && one.processes == other.processes && one.blockIO == other.blockIO
            && one.networkClass == other.networkClass && one.unified == other.unified
            && one.hugePages.elementsEqual(other.hugePages, by: ==)
            && one.networkPriorities.elementsEqual(other.networkPriorities, by: ==)
            && one.rdma.elementsEqual(other.rdma, by: ==)
    }
}

/// The memory part of ``RuntimeResources``. Sizes are in bytes, and -1 is no limit.
public struct RuntimeMemory: Equatable, Sendable {
    /// All of it.
    public var limit: Int?
    /// What others are asked for first.
    public var reservation: Int?
    /// Memory and swap together.
    public var swap: Int?
    /// The kernel's buffers for TCP, which only version 1 counts apart.
    public var kernelTCP: Int?
    /// How gladly its pages are swapped out, 0 to 100; only version 1 has it.
    public var swappiness: Int?
    /// Whether its processes wait instead of being killed; only version 1 has it.
    public var disablesOOMKiller: Bool?
    /// Whether a limit below what is used already is refused.
    public var checksBeforeUpdate = false

    /// No limits.
    public init() {}

    init(_ json: JSONReader) throws(SpecificationError) {
        guard let json = try json.present?.object() else { return }
        limit = try json["limit"].limit()
        reservation = try json["reservation"].limit()
        swap = try json["swap"].limit()
        // `kernel` is read by no kernel that is still cared for.
        kernelTCP = try json["kernelTCP"].limit()
        swappiness = try json["swappiness"].present?.integer()
        if let swappiness, !(0...100).contains(swappiness) {
            throw json["swappiness"].error("invalid memory swappiness value; it is from 0 to 100")
        }
        disablesOOMKiller = try json["disableOOMKiller"].present?.bool()
        checksBeforeUpdate = try json["checkBeforeUpdate"].present?.bool() ?? false
    }
}

/// The CPU part of ``RuntimeResources``. Times are in microseconds.
public struct RuntimeCPU: Equatable, Sendable {
    /// Its share where the CPUs are short: 2 to 262144, of which 1024 is usual.
    public var shares: Int?
    /// The time in each period; -1 for no limit.
    public var quota: Int?
    /// The time that may be saved up for later.
    public var burst: Int?
    /// The period.
    public var period: Int?
    /// The time in each period of real-time processes.
    public var realtimeRuntime: Int?
    /// Their period.
    public var realtimePeriod: Int?
    /// The CPUs to run on, such as `0-2,5`.
    public var cpus: String?
    /// The memory nodes to use.
    public var memoryNodes: String?
    /// 1 where it runs only when nothing else does.
    public var idle: Int?

    /// No limits.
    public init() {}

    init(_ json: JSONReader) throws(SpecificationError) {
        guard let json = try json.present?.object() else { return }
        shares = try json["shares"].limit()
        quota = try json["quota"].limit()
        burst = try json["burst"].present?.integer()
        period = try json["period"].limit()
        realtimeRuntime = try json["realtimeRuntime"].limit()
        realtimePeriod = try json["realtimePeriod"].limit()
        cpus = try json["cpus"].nonEmptyString()
        memoryNodes = try json["mems"].nonEmptyString()
        idle = try json["idle"].present?.integer()
    }
}

extension JSONReader {
    /// A number that limits something: nil where nothing is there, or 0.
    func limit() throws(SpecificationError) -> Int? {
        let number = try present?.integer()
        return number == 0 ? nil : number
    }

    fileprivate func nonEmptyString() throws(SpecificationError) -> String? {
        let text = try optionalString()
        return text == "" ? nil : text
    }
}
