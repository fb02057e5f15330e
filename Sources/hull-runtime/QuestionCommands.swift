import Isolation
import Kernel
import OCISpec
import Terminal

/// `hull-runtime state`: how a container is, as JSON.
enum StateCommand {
    static let command = Command(
        "hull-runtime state", "ID", "Say how a container is, as JSON.", options: [],
        optionsMayFollow: true)

    static func run(_ arguments: [String], _ global: GlobalOptions) throws(KernelError) -> Int32 {
        guard let call = try ContainerCall(command, arguments, global) else { return 0 }
        let container = call.container
        Program.write(container.state.report(container.status).text(indent: 2) + "\n")
        return 0
    }
}

/// `hull-runtime list`: all containers below the runtime's root.
enum ListCommand {
    static let command = Command(
        "hull-runtime list", "", "List containers.",
        options: [
            Option("format", "f", .required("FORMAT"), "table (if not given) or json."),
            Option("quiet", "q", .none, "Their names alone."),
        ], optionsMayFollow: true)

    static func run(_ arguments: [String], _ global: GlobalOptions) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        let containers = try StoredContainer.all(in: global.root)
        if options.has("quiet") {
            for container in containers { Program.write(container.state.id + "\n") }
            return 0
        }
        switch options.value("format") ?? "table" {
        case "json":
            let states = containers.map { $0.state.report($0.status) }
            Program.write(JSON.array(states).text() + "\n")
        case "table": Program.write(table(containers))
        case let format: throw unknownFormat(format)
        }
        return 0
    }

    private static func table(_ containers: [StoredContainer]) -> String {
        let rows = containers.map { container in
            let status = container.status
            let pid = status == .stopped ? 0 : container.state.process.id.rawValue
            return [
                container.state.id, "\(pid)", status.rawValue, container.state.bundle,
                container.state.created, container.state.owner,
            ]
        }
        return Table.aligned([["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]] + rows)
    }
}

/// `hull-runtime ps`: the processes of a container.
enum PsCommand {
    static let command = Command(
        "hull-runtime ps", "ID [PS-OPTION...]", "List the processes of a container.",
        options: [Option("format", "f", .required("FORMAT"), "table (if not given) or json.")])

    static func run(_ arguments: [String], _ global: GlobalOptions) throws(KernelError) -> Int32 {
        guard let call = try ContainerCall(command, arguments, global, operands: 1...64) else {
            return 0
        }
        let processes = call.container.controlGroup.processes().map { Int($0.rawValue) }
        switch call.options.value("format") ?? "table" {
        case "json":
            Program.write(JSON.array(processes.map(JSON.integer)).text() + "\n")
        case "table": try showTable(processes, Array(call.operands.dropFirst()))
        case let format: throw unknownFormat(format)
        }
        return 0
    }

    /// ps(1) knows best; of what it shows, the lines of these processes are left.
    private static func showTable(
        _ processes: [Int], _ arguments: [String]
    ) throws(KernelError) {
        guard let ps = HelperProgram("ps") else {
            throw KernelError(
                "run", "ps", .noSuchFile, remedy: "Install procps, or use --format json.")
        }
        let words = arguments.isEmpty ? ["-ef"] : arguments
        let outcome = try runProgram(
            ps.path, ["ps"] + words, environment: ["PATH=/usr/bin:/bin"], input: "",
            limit: 16 << 20, why: "the table of all processes")
        let lines = split(outcome.output, at: "\n")
        let header = Kernel.words(of: lines[0])
        guard let column = header.firstIndex(of: "PID") else {
            throw KernelError(
                "ps", join(words, with: " "), .invalidArgument,
                remedy: "Choose options that show a column PID.")
        }
        Program.write(lines[0] + "\n")
        for line in lines.dropFirst() {
            let fields = Kernel.words(of: line)
            guard fields.count > column, let pid = Int(fields[column]) else { continue }
            if processes.contains(pid) { Program.write(line + "\n") }
        }
    }
}

/// The error of a `--format` that there is not.
private func unknownFormat(_ format: String) -> KernelError {
    KernelError(
        "option", "--format \(format)", .invalidArgument, remedy: "It is table or json.")
}
