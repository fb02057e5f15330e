import Glibc
import Kernel
import Terminal

/// What a container may use of the machine: the options, and the mechanisms that they ask for.
public struct ContainerLimits: Sendable {
    /// The limits themselves.
    public var limits = ResourceLimits()
    /// The host's devices that show in it, beside those that every container has.
    public var devices: [HostDevice] = []
    /// Whether every device may be used.
    public var allowsEveryDevice = false
    /// The cgroup to make the container's in; nil for the topmost that we may manage.
    public var parent: String?

    /// No limits.
    public init() {}

    /// The cgroup that the options ask for.
    ///
    /// - Parameter name: what to call it; a random one where there is no better.
    public func controlGroup(named name: String = randomName()) -> ControlGroup {
        let group = ControlGroup(named: name, limits, devices: devices, parent: parent)
        group.allowsEveryDevice = allowsEveryDevice
        return group
    }
}

extension ContainerLimits {
    /// The options that ``init(_:)`` understands.
    public static let options = [
        Option("memory", "m", .required("SIZE"), "At most so much memory, such as 64m."),
        Option("memory-swap", nil, .required("SIZE"), "Memory and swap together; -1: no limit."),
        Option("memory-reservation", nil, .required("SIZE"), "Memory kept from being reclaimed."),
        Option("cpus", nil, .required("NUMBER"), "At most so many CPUs' time, such as 0.5."),
        Option("cpu-shares", nil, .required("N"), "Share of short CPUs; 1024 is usual."),
        Option("cpu-weight", nil, .required("N"), "The same as version 2 counts; 100 is usual."),
        Option("cpuset-cpus", nil, .required("LIST"), "The CPUs to run on, such as 0-2,5."),
        Option("cpuset-mems", nil, .required("LIST"), "The memory nodes to use."),
        Option("pids-limit", nil, .required("N"), "At most so many processes and threads."),
        Option(
            "io-max", nil, .required("DEVICE:KIND=N,..."),
            "Limit rbps, wbps, riops, wiops of a disk; repeatable."),
        Option("io-weight", nil, .required("N"), "Share of short disks, 1 to 1000."),
        Option("blkio-weight", nil, .required("N"), "Docker's name for --io-weight."),
        Option(
            "device", nil, .required("PATH[:DST[:rwm]]"),
            "Hand a device of the host in; repeatable."
        ),
        Option("cgroup-parent", nil, .required("CGROUP"), "Make the cgroup in this one."),
    ]

    /// The limits that the options ask for.
    /// - Throws: `EINVAL` for what cannot be kept, `ERANGE` where it is out of bounds.
    public init(_ arguments: Arguments) throws(KernelError) {
        self.init()
        parent = arguments.value("cgroup-parent")
        for text in arguments.values("device") { devices.append(try HostDevice(parsing: text)) }
        try readMemory(arguments)
        try readCPU(arguments)
        limits.processes = try arguments.number("pids-limit", in: 1...4_194_304, "processes")
        for text in arguments.values("io-max") {
            limits.transfers.append(try TransferLimit(parsing: text))
        }
        for name in ["blkio-weight", "io-weight"] {
            let weight = try arguments.number(name, in: 1...1000, "weight, of which 100 is usual")
            limits.transferWeight = weight ?? limits.transferWeight
        }
    }

    /// What a program needs to start at all; Docker draws the line here too.
    private static let leastMemory = 6 << 20

    private mutating func readMemory(_ arguments: Arguments) throws(KernelError) {
        limits.memory = try arguments.size("memory", least: Self.leastMemory)
        limits.memoryReservation = try arguments.size("memory-reservation", least: 0)
        if let memory = limits.memory, let reserved = limits.memoryReservation, reserved > memory {
            throw refusal("memory-reservation", arguments, "It cannot be more than --memory.")
        }
        guard let text = arguments.value("memory-swap") else { return }
        guard let memory = limits.memory else {
            throw refusal("memory-swap", arguments, "It counts memory too: give --memory as well.")
        }
        if text == "-1" {
            limits.memoryAndSwap = -1
        } else if let both = try arguments.size("memory-swap", least: 0) {
            if both < memory {
                throw refusal(
                    "memory-swap", arguments, "It counts memory too: no less than --memory.")
            }
            limits.memoryAndSwap = both
        }
    }

    private mutating func readCPU(_ arguments: Arguments) throws(KernelError) {
        limits.cpuQuota = try arguments.cpuQuota()
        let shares = try arguments.number("cpu-shares", in: 2...262_144, "shares; 1024 is usual")
        let weight = try arguments.number("cpu-weight", in: 1...10_000, "weight; 100 is usual")
        limits.cpuWeight =
            shares.map { CPUWeight(shares: $0) } ?? weight.map { CPUWeight(weight: $0) }
        limits.cpus = try arguments.numberSet(
            "cpuset-cpus", within: "/sys/devices/system/cpu/online")
        limits.memoryNodes = try arguments.numberSet(
            "cpuset-mems", within: "/sys/devices/system/node/online")
    }
}

// MARK: - Reading values

private func refusal(
    _ option: String, _ arguments: Arguments, _ remedy: String, _ errno: Errno = .invalidArgument
) -> KernelError {
    KernelError("option", "--\(option) \(arguments.value(option) ?? "")", errno, remedy: remedy)
}

extension Arguments {
    fileprivate func number(
        _ option: String, in range: ClosedRange<Int>, _ what: String
    ) throws(KernelError) -> Int? {
        guard let text = value(option) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw refusal(
                option, self,
                "Give a number from \(range.lowerBound) to \(range.upperBound): \(what).")
        }
        return number
    }

    fileprivate func size(_ option: String, least: Int) throws(KernelError) -> Int? {
        guard let text = value(option) else { return nil }
        guard let size = ByteSize.parse(text) else {
            throw refusal(option, self, "Give bytes, or a number with k, m or g behind it.")
        }
        if size < least {
            throw refusal(option, self, "The least is \(ByteSize.text(least)).")
        }
        return size
    }

    /// In microseconds of each period.
    fileprivate func cpuQuota() throws(KernelError) -> Int? {
        guard let text = value("cpus") else { return nil }
        let online = try numbers(in: readText("/sys/devices/system/cpu/online")).count
        let remedy = "Give a number from 0.01 to \(online), which is how many CPUs there are."
        let isPlain = text.utf8.allSatisfy { (48...57).contains($0) || $0 == 46 }
        guard isPlain, let cpus = Double(text), (0.01...Double(max(online, 1))).contains(cpus)
        else {
            throw refusal("cpus", self, remedy)
        }
        return Int((cpus * Double(ResourceLimits.cpuPeriod)).rounded())
    }

    /// A list such as `0-2,5`, all of which this machine has.
    fileprivate func numberSet(
        _ option: String, within file: String
    ) throws(KernelError) -> String? {
        guard let text = value(option) else { return nil }
        let there = (readControl(file) ?? "0")
        let remedy = "Give a list such as 0-2,5; there are \(there)."
        do throws(KernelError) {
            let available = try numbers(in: there)
            for number in try numbers(in: text) where !available.contains(number) {
                throw KernelError("option", text, Errno(rawValue: ENODEV))
            }
            return text
        } catch {
            throw refusal(option, self, remedy, error.errno)
        }
    }
}

/// The numbers of a list as the kernel writes it. See `cpuset(7)`, "List format".
private func numbers(in list: String) throws(KernelError) -> [Int] {
    var found: [Int] = []
    for part in split(split(list, at: "\n")[0], at: ",") {
        let ends = split(part, at: "-")
        guard ends.count <= 2, let first = Int(ends[0]), let last = Int(ends[ends.count - 1]),
            first >= 0, last >= first, last < 8192
        else { throw KernelError("list", list, .invalidArgument) }
        found += first...last
    }
    return found
}

extension TransferLimit {
    /// Reads `DEVICE:KIND=N,…`, such as `/dev/sda:wbps=1m,riops=100`.
    /// - Throws: `EINVAL` where it is no such thing, `ENOTBLK` where the device is no disk.
    init(parsing text: String) throws(KernelError) {
        let wrong = KernelError(
            "option", "--io-max \(text)", .invalidArgument,
            remedy: "Write DEVICE:KIND=N,… with KIND one of rbps, wbps, riops, wiops.")
        guard let colon = text.lastIndex(of: ":") else { throw wrong }
        let path = String(text[..<colon])
        guard let disk = try DeviceNode(at: path), disk.isBlock else {
            throw KernelError(
                "option", "--io-max \(text)", Errno(rawValue: ENOTBLK),
                remedy: "Name a whole disk, such as /dev/sda; `lsblk -d` lists them.")
        }
        self.init(device: "\(disk.major):\(disk.minor)")
        for part in split(String(text[text.index(after: colon)...]), at: ",") {
            let sides = split(part, at: "=")
            guard sides.count == 2, let number = ByteSize.parse(sides[1]), number > 0 else {
                throw wrong
            }
            switch sides[0] {
            case "rbps": readBytes = number
            case "wbps": writtenBytes = number
            case "riops": reads = number
            case "wiops": writes = number
            default: throw wrong
            }
        }
    }
}
