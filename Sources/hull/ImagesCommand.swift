import Images
import Kernel
import OCISpec
import Terminal

/// `hull images`: which images there are.
enum ImagesCommand {
    static let command = Command(
        "hull images", "", "List the images that are here, the newest first.",
        options: [
            Option("quiet", "q", .none, "Only the ids."),
            Option("json", nil, .none, "For programs: one array of objects."),
        ])

    /// Lists. `arguments` begins with the command's own name.
    static func run(_ arguments: [String], stateRoot: String) throws(KernelError) -> Int32 {
        let parsed = try command.parse(arguments)
        if parsed.has("help") {
            Program.write(command.help)
            return 0
        }
        if let surplus = parsed.operands.first {
            throw KernelError(
                "arguments", surplus, .invalidArgument, remedy: "See `hull images --help`.")
        }
        let images = try ContentStore(stateRoot: stateRoot).images(Snapshots(stateRoot: stateRoot))
        if parsed.has("json") {
            Program.write(JSON.array(images.map(json)).text(indent: 2) + "\n")
        } else if parsed.has("quiet") {
            Program.write(images.map { $0.id.short + "\n" }.joined())
        } else {
            Program.write(table(images))
        }
        return 0
    }

    private static func json(_ image: ImageSummary) -> JSON {
        .object(present: [
            ("repository", image.reference.map { .string($0.familiarName) } ?? .null),
            ("tag", image.reference?.tag.map(JSON.string) ?? .null),
            ("name", image.reference.map { .string($0.description) } ?? .null),
            ("id", .string(image.id.description)),
            ("created", image.created.map { .string($0.description) } ?? .null),
            ("size", .integer(image.size)),
        ])
    }

    private static func table(_ images: [ImageSummary]) -> String {
        let style = Style(for: 1)
        let heads = ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"].map(style.bold)
        let now = Timestamp.now
        let rows = images.map { image in
            [
                image.reference?.familiarName ?? "<none>", image.reference?.tag ?? "<none>",
                image.id.short, image.created.map { Age.text(of: $0, at: now) } ?? "unknown",
                ByteCount.text(image.size),
            ]
        }
        return Table.aligned([heads] + rows)
    }
}
