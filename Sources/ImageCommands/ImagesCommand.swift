import Images
import Kernel
import OCISpec
import Terminal

/// `images`: which images there are.
enum ImagesCommand {
    static let entry = ImageCommand(
        Command(
            "images", "", "List the images that are here, the newest first.",
            options: [
                Option("all", "a", .none, "Also what names meant before."),
                Option("quiet", "q", .none, "Only the ids."),
                .json,
            ])
    ) { call throws(KernelError) in
        try call.expectOperands(0...0)
        let images = try call.store.images(
            call.snapshots, withVersions: call.options.has("all"))
        if call.options.has("json") {
            Program.write(JSON.array(images.map(json)).text(indent: 2) + "\n")
        } else if call.options.has("quiet") {
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
        let now = Timestamp.now.seconds
        let rows = images.map { image in
            [
                image.reference?.familiarName ?? "<none>", image.reference?.tag ?? "<none>",
                image.id.short,
                image.created.map { Age.text(secondsAgo: now - $0.seconds) } ?? "unknown",
                ByteCount.text(image.size),
            ]
        }
        return Table.aligned([heads] + rows)
    }
}
