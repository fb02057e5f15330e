import Images
import Kernel
import OCISpec
import Registry
import Terminal

/// `stage09-registry tags`.
enum TagsCommand {
    static let command = Command(
        "stage09-registry tags", "NAME", "List the tags of a repository.",
        options: [Option("json", nil, .none, "For programs: one array of strings.")]
            + TransferOptions.connection)

    static func run(_ arguments: [String]) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        let reference = try ImageReference.parse(try command.operand(options))
        let settings = try TransferOptions.settings(options)
        let tags = try waiting { () async throws(KernelError) in
            try await RegistryQuestions(settings).tags(reference)
        }
        // A tag is whatever the registry sends; a terminal is given those that can be tags.
        let real = tags.filter { (try? ImageReference("x:\($0)")) != nil }
        Program.write(
            options.has("json")
                ? JSON.strings(real).text(indent: 2) + "\n" : real.map { $0 + "\n" }.joined())
        return 0
    }
}

/// `stage09-registry inspect`.
enum InspectCommand {
    static let command = Command(
        "stage09-registry inspect", "NAME[:TAG][@DIGEST]",
        "Show what a registry has under a name, without getting the layers.",
        options: [
            Option("raw", nil, .none, "The manifest or index, byte for byte."),
            Option("config", nil, .none, "The image's configuration."),
        ] + TransferOptions.connection)

    static func run(_ arguments: [String]) throws(KernelError) -> Int32 {
        let options = try command.parse(arguments)
        if options.has("help") { return command.showHelp() }
        let reference = try ImageReference.parse(try command.operand(options))
        let settings = try TransferOptions.settings(options)
        let questions = RegistryQuestions(settings)
        let document = try waiting { () async throws(KernelError) in
            try await questions.manifest(reference)
        }
        if options.has("raw") {
            Program.write(String(decoding: document.bytes, as: UTF8.self))
            return 0
        }
        if options.has("config") {
            let configuration = try waiting { () async throws(KernelError) in
                try await questions.configuration(of: document, reference)
            }
            Program.write(configuration.text(indent: 2) + "\n")
            return 0
        }
        let shown = JSON.object(present: [
            ("name", .string(reference.description)),
            ("digest", .string("\(document.descriptor.digest)")),
            ("mediaType", .string(document.descriptor.mediaType)),
            ("size", .integer(document.descriptor.size)), ("manifest", document.json),
        ])
        Program.write(shown.text(indent: 2) + "\n")
        return 0
    }
}
