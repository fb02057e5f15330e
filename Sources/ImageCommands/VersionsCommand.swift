import Images
import Isolation
import Kernel
import OCISpec
import Terminal

/// `image versions`: what a name means, and what it meant before.
enum VersionsCommand {
    static let entry = ImageCommand(
        Command(
            "image versions", "NAME[:TAG]", "List what a name means and what it meant before.",
            options: [.json],
            notes: """
                The last \(ContentStore.versionLimit) meanings of a name are kept until \
                `image prune`; `image revert` goes back to one.
                """)
    ) { call throws(KernelError) in
        try call.expectOperands(1...1)
        let name = try ImageReference.parse(call.operands[0])
        let versions = try call.store.versions(of: name)
        Program.write(
            call.options.has("json")
                ? JSON.array(versions.map(json)).text(indent: 2) + "\n" : table(versions))
        return 0
    }

    private static func table(_ versions: [ImageVersion]) -> String {
        let style = Style(for: 1)
        let heads = ["IMAGE ID", "DIGEST", "CREATED", "UNTIL"].map(style.bold)
        let now = Timestamp.now.seconds
        let rows = versions.map { version in
            [
                version.id?.short ?? "unreadable", version.entry.digest.short,
                version.created.map { Age.text(secondsAgo: now - $0.seconds) } ?? "unknown",
                version.until.map { Age.text(secondsAgo: now - $0.seconds) } ?? "now",
            ]
        }
        return Table.aligned([heads] + rows)
    }

    private static func json(_ version: ImageVersion) -> JSON {
        .object(present: [
            ("id", version.id.map { .string("\($0)") } ?? .null),
            ("digest", .string("\(version.entry.digest)")),
            ("created", version.created.map { .string("\($0)") } ?? .null),
            ("until", version.until.map { .string("\($0)") } ?? .null),
        ])
    }
}

/// `image revert`: lets a name mean what it meant before.
enum RevertCommand {
    static let entry = ImageCommand(
        Command(
            "image revert", "NAME[:TAG] [ID]", "Let a name mean again what it meant before.",
            options: [],
            notes: """
                ID is how the id or the digest of a version begins, as `image versions` lists them;
                without it, the last one is meant. NAME@DIGEST says the same. What the name means
                now is kept as a version, so a second `image revert` takes the first one back.
                """)
    ) { call throws(KernelError) in
        try call.expectOperands(1...2)
        var words = call.operands[0].split(separator: "@", maxSplits: 1).map(String.init)
        words += call.operands.dropFirst()
        guard let first = words.first, words.count <= 2 else {
            throw call.command.missing(operandsOf: call.options)
        }
        let name = try ImageReference.parse(first)
        try OrdinaryUser.becomeRoot()
        let lease = try call.store.hold()
        let version = try call.store.revert(name, to: words.count == 2 ? words[1] : nil)
        lease.release()
        Program.write("\(version.id ?? version.entry.digest)\n")
        return 0
    }
}
