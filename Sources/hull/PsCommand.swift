import Engine
import Isolation
import Kernel
import OCISpec
import Terminal

/// `hull ps`: the containers.
enum PsCommand {
    static let command = Command(
        "hull ps", "", "List the running containers.",
        options: [
            Option("all", "a", .none, "Those that have ended, too."),
            Option("json", nil, .none, "As JSON, for programs."),
        ])

    static func run(_ arguments: [String], _ state: StateDirectories) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        let containers = try Containers(state).all().filter { $0.isRunning || options.has("all") }
        Program.write(options.has("json") ? json(containers) : table(containers))
        return 0
    }

    private static func table(_ containers: [Container]) -> String {
        let now = Timestamp.now.seconds
        let rows = containers.map { container in
            [
                container.record.id, container.record.image, container.state,
                Age.text(secondsAgo: now - container.record.created.seconds),
                container.record.command.joined(separator: " "),
            ]
        }
        return Table.aligned([["CONTAINER", "IMAGE", "STATE", "CREATED", "COMMAND"]] + rows)
    }

    private static func json(_ containers: [Container]) -> String {
        let values = containers.map { container in
            JSON.object(present: [
                ("state", .string(container.state)), ("running", .bool(container.isRunning)),
                ("container", container.record.json),
            ])
        }
        return JSON.array(values).text(indent: 2) + "\n"
    }
}
