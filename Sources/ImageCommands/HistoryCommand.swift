import Images
import Kernel
import OCISpec
import Terminal

/// `history`: how an image came to be, the last step first.
enum HistoryCommand {
    static let entry = ImageCommand(
        Command(
            "history", "IMAGE", "Tell how an image came to be, the last step first.",
            options: [
                Option("no-trunc", nil, .none, "Whole commands, however long."),
                Option("quiet", "q", .none, "Only the digests of the layers."),
                .platform, .json,
            ])
    ) { call throws(KernelError) in
        try call.expectOperands(1...1)
        let image = try call.store.resolve(call.operands[0], platform: try call.platform())
        let steps = Step.all(of: image, call.snapshots)
        if call.options.has("json") {
            Program.write(JSON.array(steps.map(\.json)).text(indent: 2) + "\n")
        } else if call.options.has("quiet") {
            Program.write(steps.compactMap { $0.layer }.map { "\($0.digest)\n" }.joined())
        } else {
            Program.write(table(steps, isWhole: call.options.has("no-trunc")))
        }
        return 0
    }

    private static func table(_ steps: [Step], isWhole: Bool) -> String {
        let style = Style(for: 1)
        let heads = ["LAYER", "CREATED", "SIZE", "CREATED BY"].map(style.bold)
        let now = Timestamp.now.seconds
        let rows = steps.map { step in
            [
                step.layer.map { isWhole ? "\($0.digest)" : $0.digest.short } ?? "-",
                step.history?.created.map { Age.text(secondsAgo: now - $0.seconds) } ?? "unknown",
                step.layer == nil ? "0 B" : ByteCount.text(step.size),
                shown(step, isWhole),
            ]
        }
        return Table.aligned([heads] + rows)
    }

    /// Commands are written over several lines, and hold whatever their writer liked.
    private static func shown(_ step: Step, _ isWhole: Bool) -> String {
        let words = [step.history?.createdBy, step.history?.comment].compactMap(\.self)
        let text = onOneLine(words.filter { !$0.isEmpty }.joined(separator: "  # "))
        return isWhole || text.count <= 60 ? text : text.prefix(59) + "…"
    }
}

/// A step, and the layer that it made.
private struct Step {
    var history: ImageHistory?
    var layer: ContentDescriptor?
    var size = 0

    /// The last one first.
    static func all(of image: Image, _ snapshots: Snapshots) -> [Step] {
        let chains = Snapshots.chainIDs(image.configuration.diffIDs)
        var layers = zip(image.manifest.layers, chains).makeIterator()
        func next(_ history: ImageHistory?) -> Step? {
            guard let (layer, chain) = layers.next() else { return nil }
            let size = snapshots.size(ofChain: chain) ?? layer.size
            return Step(history: history, layer: layer, size: size)
        }
        var steps: [Step] = []
        for history in image.configuration.history {
            let step = history.isEmptyLayer ? nil : next(history)
            steps.append(step ?? Step(history: history))
        }
        // A history may be shorter than the list of layers, or missing.
        while let step = next(nil) { steps.append(step) }
        return steps.reversed()
    }

    var json: JSON {
        .object(present: [
            ("layer", layer.map { .string("\($0.digest)") } ?? .null),
            ("created", history?.created.map { .string("\($0)") } ?? .null),
            ("createdBy", .string(history?.createdBy ?? "")),
            ("comment", .string(history?.comment ?? "")), ("size", .integer(size)),
        ])
    }
}

/// Text from an image as a terminal may be given it.
func onOneLine(_ text: String) -> String {
    var line = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        let isControl = scalar.value < 32 || (127..<160).contains(scalar.value)
        line.append(isControl ? " " : scalar)
    }
    return String(line)
}
