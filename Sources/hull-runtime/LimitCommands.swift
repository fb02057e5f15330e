import Glibc
import Isolation
import Kernel
import OCISpec
import Terminal

/// `hull-runtime update`: other limits for a container that runs.
enum UpdateCommand {
    /// The options, and where in `linux.resources` their numbers go.
    private static let numbers: [(option: String, path: [String], help: String)] = [
        ("memory", ["memory", "limit"], "Memory in bytes."),
        ("memory-reservation", ["memory", "reservation"], "What others are asked for first."),
        ("memory-swap", ["memory", "swap"], "Memory and swap together; -1 for no limit."),
        ("cpu-period", ["cpu", "period"], "Microseconds of a period."),
        ("cpu-quota", ["cpu", "quota"], "Microseconds of CPU time in it."),
        ("cpu-burst", ["cpu", "burst"], "Microseconds that may be saved up."),
        ("cpu-share", ["cpu", "shares"], "Its share where the CPUs are short."),
        ("cpu-rt-period", ["cpu", "realtimePeriod"], "Microseconds of a real-time period."),
        ("cpu-rt-runtime", ["cpu", "realtimeRuntime"], "Microseconds in it."),
        ("cpu-idle", ["cpu", "idle"], "1: only what nobody else wants."),
        ("blkio-weight", ["blockIO", "weight"], "Its share where a disk is short."),
        ("pids-limit", ["pids", "limit"], "Processes and threads; -1 for no limit."),
    ]
    private static let lists: [(option: String, path: [String], help: String)] = [
        ("cpuset-cpus", ["cpu", "cpus"], "The CPUs that it may use, as 0-2,5."),
        ("cpuset-mems", ["cpu", "mems"], "The memory nodes that it may use."),
    ]

    static let command = Command(
        "hull-runtime update", "ID", "Change the limits of a container.",
        options: [
            Option(
                "resources", "r", .required("FILE"),
                "Take them from FILE, or standard input if it is -: linux.resources, as JSON.")
        ]
            + (numbers + lists).map { Option($0.option, nil, .required("VALUE"), $0.help) } + [
                Option("kernel-memory", nil, .required("VALUE"), "Accepted; no kernel has it."),
                Option("kernel-memory-tcp", nil, .required("VALUE"), "Accepted."),
                .explain,
            ], optionsMayFollow: true)

    static func run(_ arguments: [String], _ global: GlobalOptions) throws(KernelError) -> Int32 {
        guard let call = try ContainerCall(command, arguments, global) else { return 0 }
        guard call.container.status != .stopped else {
            throw KernelError(
                "container", "\(call.container.state.id): container not running", .noSuchProcess,
                remedy: "It has ended.")
        }
        let json =
            if let file = call.options.value("resources") { try read(file) } else {
                try resources(call.options)
            }
        let resources: RuntimeResources
        do throws(SpecificationError) {
            resources = try RuntimeResources(JSONReader(json, "resources"))
        } catch {
            throw KernelError("read", "resources", .invalidArgument, remedy: "\(error)")
        }
        try call.container.controlGroup.update(resources)
        return 0
    }

    private static func read(_ file: String) throws(KernelError) -> JSON {
        let bytes = try readFile(file == "-" ? "/proc/self/fd/0" : file, limit: 1 << 20)
        do throws(SpecificationError) { return try JSON.parse(bytes, from: file) } catch {
            throw KernelError("read", file, .invalidArgument, remedy: "\(error)")
        }
    }

    /// The options as the file would have them.
    private static func resources(_ options: Arguments) throws(KernelError) -> JSON {
        var groups: [JSON.Member] = []
        func add(_ path: [String], _ value: JSON) {
            let member = JSON.Member(path[1], value)
            for index in groups.indices where groups[index].name == path[0] {
                if case .object(let members) = groups[index].value {
                    groups[index].value = .object(members + [member])
                    return
                }
            }
            groups.append(JSON.Member(path[0], .object([member])))
        }
        for (option, path, _) in numbers {
            guard let text = options.value(option), !text.isEmpty else { continue }
            guard let number = text == "-1" ? -1 : ByteSize.parse(text) else {
                throw KernelError(
                    "option", "--\(option) \(text)", .invalidArgument,
                    remedy: path[0] == "memory"
                        ? "It is a number of bytes, such as 67108864 or 64m."
                        : "It is a whole number.")
            }
            add(path, .integer(number))
        }
        for (option, path, _) in lists {
            if let text = options.value(option), !text.isEmpty { add(path, .string(text)) }
        }
        return .object(groups)
    }
}

/// `hull-runtime events`: what a container uses, as JSON, once or again and again.
enum EventsCommand {
    static let command = Command(
        "hull-runtime events", "ID", "Say what a container uses, as JSON.",
        options: [
            Option("stats", nil, .none, "Once, and end."),
            Option("interval", nil, .required("SECONDS"), "How often; 5 seconds if not given."),
        ], optionsMayFollow: true)

    static func run(_ arguments: [String], _ global: GlobalOptions) throws(KernelError) -> Int32 {
        guard let call = try ContainerCall(command, arguments, global) else { return 0 }
        let container = call.container
        guard container.status != .stopped else {
            throw KernelError(
                "container", "\(container.state.id): container not running", .noSuchProcess,
                remedy: "It has ended.")
        }
        if call.options.has("stats") {
            say("stats", of: container, container.controlGroup.statistics())
            return 0
        }
        try watch(container, each: try milliseconds(call.options.value("interval") ?? "5"))
        return 0
    }

    /// Tells what it uses each time that is due, and each kill when it happens.
    private static func watch(
        _ container: StoredContainer, each milliseconds: Int
    ) throws(KernelError) {
        var alarm = try MemoryAlarm(container.controlGroup)
        while container.state.process.isRunning {
            var request = pollfd(fd: alarm.descriptor, events: Int16(POLLIN), revents: 0)
            if poll(&request, 1, CInt(clamping: milliseconds)) > 0 {
                let kills = alarm.take()
                // Version 1 counts up at the end of the cgroup, too.
                if kills > 0 && container.state.process.isRunning { say("oom", of: container, nil) }
            } else if container.state.process.isRunning {
                say("stats", of: container, container.controlGroup.statistics())
            }
        }
    }

    private static func say(_ type: String, of container: StoredContainer, _ data: JSON?) {
        let event = JSON.object(present: [
            ("type", .string(type)), ("id", .string(container.state.id)), ("data", data),
        ])
        Program.write(event.text() + "\n")
    }

    private static func milliseconds(_ text: String) throws(KernelError) -> Int {
        let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("", 1000)]
        let digits = String(text.prefix { $0.isNumber })
        guard let count = Int(digits), (1...1_000_000).contains(count),
            let unit = units.first(where: { $0.0 == text.dropFirst(digits.count) })
        else {
            throw KernelError(
                "option", "--interval \(text)", .invalidArgument,
                remedy: "It is a number of seconds above 0, or such as 100ms, 5s and 1m.")
        }
        return count * unit.1
    }
}
