import Glibc
import Images
import Kernel
import OCISpec
import Terminal

/// `inspect`: all that is known of images, as JSON.
enum InspectCommand {
    static let entry = ImageCommand(
        Command(
            "inspect", "IMAGE...", "Tell all that is known of images, as `docker inspect` does.",
            options: [
                .platform,
                Option("manifest", nil, .none, "Instead, the manifest as it is, byte for byte."),
                Option("config", nil, .none, "Instead, the configuration as it is."),
                Option("index", nil, .none, "Instead, what the name leads to as it is."),
            ])
    ) { call throws(KernelError) in
        try call.expectOperands()
        var values: [JSON] = []
        for name in call.operands {
            if let document = try document(name, call) {
                Program.write(String(decoding: try call.store.bytes(of: document), as: UTF8.self))
                continue
            }
            let image = try call.store.resolve(name, platform: try call.platform())
            values.append(try description(of: image, call))
        }
        if !values.isEmpty { Program.write(JSON.array(values).text(indent: 4) + "\n") }
        return 0
    }

    /// The document that was asked for by itself.
    private static func document(
        _ name: String, _ call: ImageCall
    ) throws(KernelError) -> ContentDescriptor? {
        if call.options.has("index") { return try call.store.entry(name) }
        guard call.options.has("manifest") || call.options.has("config") else { return nil }
        let image = try call.store.resolve(name, platform: try call.platform())
        return call.options.has("manifest") ? image.descriptor : image.manifest.configuration
    }

    /// Under Docker's names, so that scripts for one find them in the other.
    private static func description(
        of image: Image, _ call: ImageCall
    ) throws(KernelError) -> JSON {
        let configuration = image.configuration
        // Not what we understand of it: all of it.
        let bytes = try call.store.bytes(of: image.manifest.configuration)
        let raw = (try? JSON.parse(bytes)) ?? .null
        let names = try call.store.index().manifests.filter { $0.digest == image.entry.digest }
            .compactMap { $0.tag.flatMap { try? ImageReference($0) } }
        let digests = unique(names.map { "\($0.familiarName)@\(image.entry.digest)" })
        let tags = names.filter { $0.digest == nil }.map(\.familiar)
        let root: JSON = [
            "Type": "layers", "Layers": .strings(configuration.diffIDs.map(\.description)),
        ]
        let members: [(String, JSON?)] = [
            ("Id", .string("\(image.id)")), ("RepoTags", .strings(tags)),
            ("RepoDigests", .strings(digests)),
            ("Comment", raw["comment"] ?? .string(configuration.history.last?.comment ?? "")),
            ("Created", configuration.created.map { .string("\($0)") } ?? .null),
            ("Author", raw["author"] ?? .string("")),
            ("Architecture", .string(configuration.platform.architecture)),
            ("Variant", configuration.platform.variant.map(JSON.string)),
            ("Os", .string(configuration.platform.os)),
            ("Size", .integer(image.manifest.layers.reduce(0) { $0 + $1.size })),
            ("Config", raw["config"] ?? .null), ("RootFS", root),
            ("Descriptor", image.descriptor.withoutName.json), ("Manifest", image.manifest.json),
        ]
        return .object(present: members)
    }

    private static func unique(_ texts: [String]) -> [String] {
        var seen: [String] = []
        for text in texts where !seen.contains(text) { seen.append(text) }
        return seen
    }
}
