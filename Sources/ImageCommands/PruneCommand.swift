import Images
import Isolation
import Kernel
import OCISpec
import Terminal

/// `image prune`: takes away what nobody needs.
enum PruneCommand {
    static let entry = ImageCommand(
        Command(
            "image prune", "", "Take away images without a name, and all that is left over.",
            options: [
                Option(
                    "all", "a", .none, "Images with names too, if no container is made of them."),
                .json,
            ],
            notes: """
                What goes: images without a name, what names meant before, blobs that no image
                leads to, unpacked layers of none, and downloads that nobody went on with.
                What a container or a mount uses stays, and what is being written.
                """)
    ) { call throws(KernelError) in
        try call.expectOperands(0...0)
        try OrdinaryUser.becomeRoot()
        let takesAll = call.options.has("all")
        let freed = try GarbageCollector(stateRoot: call.state.root).collect(
            takesDownloads: true, patience: 10, removing: { takesAll || $0.tag == nil },
            inUse: call.inUse)
        guard let freed else {
            throw KernelError(
                "prune", call.store.path, .busy,
                remedy: "An image is being written; try again when that is done.")
        }
        Program.write(call.options.has("json") ? json(freed) : text(freed))
        return 0
    }

    private static func text(_ freed: GarbageFreed) -> String {
        let shown = freed.entries.filter { $0.tag != nil }.map { "Untagged: \($0.shownName)\n" }
        return shown.joined() + freed.summary + "\n"
    }

    private static func json(_ freed: GarbageFreed) -> String {
        let value: JSON = [
            "untagged": .strings(freed.entries.compactMap(\.tag)),
            "manifests": .strings(freed.entries.map { "\($0.digest)" }),
            "blobs": .integer(freed.blobs), "snapshots": .integer(freed.snapshots),
            "unfinished": .integer(freed.unfinished), "bytes": .integer(freed.bytes),
        ]
        return value.text(indent: 2) + "\n"
    }
}

extension GarbageFreed {
    /// A line for people.
    var summary: String {
        func count(_ number: Int, _ one: String, _ many: String) -> String? {
            number == 0 ? nil : "\(number) \(number == 1 ? one : many)"
        }
        let parts = [
            count(blobs, "blob", "blobs"), count(snapshots, "unpacked layer", "unpacked layers"),
            count(unfinished, "unfinished file", "unfinished files"),
        ].compactMap(\.self)
        return "Freed: \(ByteCount.text(bytes))"
            + (parts.isEmpty ? "" : " in \(parts.joined(separator: ", "))")
    }
}
