import Glibc
import Isolation
import Kernel
import OCISpec
import Terminal

/// `hull-runtime exec`: one more process in a container that runs.
enum ExecCommand {
    static let command = Command(
        "hull-runtime exec", "ID COMMAND [ARG...]", "Run one more process in a container.",
        options: [
            Option("process", "p", .required("FILE"), "Read what to run from FILE, as JSON."),
            Option("detach", "d", .none, "Do not wait for its end."),
            Option("tty", "t", .none, "Give it a terminal."),
            Option("console-socket", nil, .required("PATH"), "Send the terminal there."),
            Option("pid-file", nil, .required("FILE"), "Write its number into FILE."),
            Option("pidfd-socket", nil, .required("PATH"), "Send a pidfd of it there."),
            Option("cwd", nil, .required("DIR"), "Where it starts."),
            Option("env", "e", .required("NAME=VALUE"), "Set a variable; repeatable."),
            Option("user", "u", .required("UID[:GID]"), "As whom it runs."),
            Option("additional-gids", "g", .required("GID"), "More groups; repeatable."),
            Option("cap", "c", .required("CAP"), "Add a capability; repeatable."),
            Option("no-new-privs", nil, .none, "It can be given no more than it has."),
            Option("process-label", nil, .required("LABEL"), "Its SELinux label."),
            Option("apparmor", nil, .required("PROFILE"), "Its AppArmor profile."),
            Option("preserve-fds", nil, .required("N"), "Leave it N open files from 3 on."),
            Option("cgroup", nil, .required("PATH"), "A cgroup below the container's to join."),
            Option("ignore-paused", nil, .none, "Though the container is paused."),
            Option("no-subreaper", nil, .none, "Accepted; nobody is reaped here anyway."),
            .explain,
        ])

    static func run(_ arguments: [String], _ global: GlobalOptions) throws(KernelError) -> Int32 {
        guard let call = try ContainerCall(command, arguments, global, operands: 1...4096) else {
            return 0
        }
        // First: it starts the program over again, which is to find what this one found.
        try RuntimeProgram.protect()
        Program.secureStandardDescriptors()
        let container = call.container
        try check(container.status, of: container, call.options)
        let configuration = try container.configuration()
        let added = try process(call, configuration)
        var process = try added.sandboxed()
        process.console = .none
        process.consoleSocket = call.options.value("console-socket")
        process.keptDescriptors = try call.options.preservedDescriptors()
        process.isDetached = call.options.has("detach")
        let list = try mechanisms(of: added, in: container, configuration, call.options)
        let announcement = ProcessAnnouncement(call.options)
        if process.isDetached {
            var sandbox = Sandbox(list, running: process)
            try sandbox.detach(announcement.tell)
            return 0
        }
        var sandbox = Sandbox(list + [announcement], running: process)
        return try sandbox.run().code
    }

    // book: begin exec-list
    /// What is already there is joined; what is the process's own is taken from it as ever.
    private static func mechanisms(
        of process: RuntimeProcess, in container: StoredContainer,
        _ configuration: RuntimeConfiguration, _ options: Arguments
    ) throws(KernelError) -> [any Mechanism] {
        var list: [any Mechanism] = [
            try JoinedControlGroup(
                container.state.controlGroup, below: options.value("cgroup"),
                beside: container.state.process.id),
            Affinity(process.cpuAffinity),
            JoinedContainer(container.state.process),
            ClosedDescriptors(),
        ]
        list += try process.attributes(behind: configuration.linux)
        list.append(StartingDirectory(process.workingDirectory))
        let privileges = try ContainerPrivileges(
            of: process, behind: configuration.linux, telling: container.state.hookState)
        return try list + privileges.mechanisms()
    }
    // book: end exec-list

    private static func check(
        _ status: ContainerStatus, of container: StoredContainer, _ options: Arguments
    ) throws(KernelError) {
        switch status {
        case .running, .created: return
        case .paused where options.has("ignore-paused"): return
        case .paused, .stopped:
            throw KernelError(
                "container", "\(container.state.id): cannot exec in a \(status.rawValue) container",
                .invalidArgument,
                remedy: status == .paused
                    ? "`hull-runtime resume` it first, or add --ignore-paused."
                    : "container not running: it has ended.")
        }
    }

    /// What to run: a file of the caller's, or the container's own process with other arguments.
    private static func process(
        _ call: ContainerCall, _ configuration: RuntimeConfiguration
    ) throws(KernelError) -> RuntimeProcess {
        let options = call.options
        if let file = options.value("process") {
            let bytes = try readFile(file, limit: 16 << 20)
            do throws(SpecificationError) {
                return try RuntimeProcess(JSONReader(try JSON.parse(bytes), "process"))
            } catch {
                throw KernelError("read", file, .invalidArgument, remedy: "\(error)")
            }
        }
        guard call.operands.count > 1 else { throw command.missing(operandsOf: options) }
        var process = configuration.process ?? RuntimeProcess()
        process.arguments = Array(call.operands.dropFirst())
        process.hasTerminal = options.has("tty")
        process.environment += options.values("env")
        process.workingDirectory = options.value("cwd") ?? process.workingDirectory
        process.appArmorProfile = options.value("apparmor") ?? process.appArmorProfile
        process.seLinuxLabel = options.value("process-label") ?? process.seLinuxLabel
        if options.has("no-new-privs") { process.hasNoNewPrivileges = true }
        try apply(options, to: &process)
        return process
    }

    private static func apply(
        _ options: Arguments, to process: inout RuntimeProcess
    ) throws(KernelError) {
        if let text = options.value("user") {
            let numbers = split(text, at: ":").map { UInt32($0) }
            guard numbers.count <= 2, let user = numbers[0] else { throw refusal("user", text) }
            process.user.user = user
            if numbers.count == 2 {
                guard let group = numbers[1] else { throw refusal("user", text) }
                process.user.group = group
            }
        }
        for text in options.values("additional-gids") {
            guard let group = UInt32(text) else { throw refusal("additional-gids", text) }
            process.user.additionalGroups.append(group)
        }
        let added = options.values("cap")
        if added.isEmpty { return }
        var sets = process.capabilities ?? RuntimeCapabilities([])
        sets.bounding += added
        sets.effective += added
        sets.permitted += added
        // What it hands on already, it hands on to who is not root, too.
        sets.ambient += added.filter { sets.inheritable.contains($0) }
        process.capabilities = sets
    }

    private static func refusal(_ option: String, _ text: String) -> KernelError {
        KernelError(
            "option", "--\(option) \(text)", .invalidArgument, remedy: "It takes numbers only.")
    }
}
