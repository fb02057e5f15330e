import CLinux
import Engine
import Glibc
import Images
import Isolation
import Kernel
import OCISpec
import Terminal

/// `diff`: which files a container changed, or which differ between two images.
enum DiffCommand {
    static let entry = ImageCommand(
        Command(
            "diff", "CONTAINER|DIR | IMAGE IMAGE",
            "List the files that a container changed, or that make one image another.",
            options: [
                Option("json", nil, .none, "For programs: one array of objects."), .storageDriver,
            ],
            notes: """
                A stands for an added file, C for a changed one, D for a deleted one. DIR is what
                stage08-images was given with --keep.
                """)
    ) { call throws(KernelError) in
        try call.expectOperands(1...2)
        try OrdinaryUser.becomeRoot()
        let changes =
            call.operands.count == 1
            ? try ofContainer(call.operands[0], call)
            : try ofImages(call.operands[0], call.operands[1], call)
        if call.options.has("json") {
            Program.write(JSON.array(changes.map(json)).text(indent: 2) + "\n")
        } else {
            Program.write(changes.map { "\($0.letter) /\($0.path.shown)\n" }.joined())
        }
        return 0
    }

    private static func ofContainer(
        _ word: String, _ call: ImageCall
    ) throws(KernelError) -> [LayerChange] {
        let diff = try Subject(word, to: "compare", call.state).files.diff(call.state)
        return try diff.changes().byContainer
    }

    /// The second image is shown as one tree, in a mount namespace that goes with this program.
    private static func ofImages(
        _ old: String, _ new: String, _ call: ImageCall
    ) throws(KernelError) -> [LayerChange] {
        let lease = try call.store.hold()
        let snapshots = try call.chosenSnapshots()
        let images = [try call.store.resolve(old), try call.store.resolve(new)]
        let lower = try snapshots.lowerDirectories(for: images[0], in: call.store)
        let upper = try snapshots.lowerDirectories(for: images[1], in: call.store)
        let scratch = try OwnedDirectory(
            in: call.state.scratch, why: "a place to show an image in")
        let changes = Result { () throws(KernelError) in
            let diff = try LayerDiff(of: .tree(try merged(upper, in: scratch.path)), on: lower)
            return try diff.changes()
        }
        try? unmount(scratch.path + "/merged", lazily: true, why: "it has been compared")
        try scratch.release()
        lease.release()
        return try changes.get()
    }

    private static func merged(
        _ layers: [String], in directory: String
    ) throws(KernelError) -> String {
        if layers.count == 1, let only = layers.first { return only }
        try leaveNamespaces(for: .mount, why: "nobody else is to see the mount")
        try mount(nil, on: "/", [.recursive, .private], why: "nor is it to come out of here")
        try makeDirectory(directory + "/merged", why: "a place to show an image in")
        var union = LayeredMount(lower: layers, directory: directory)
        union.isReadOnly = true
        if !isInFirstUserNamespace { union.flags.append("userxattr") }
        try union.prepare()
        try union.mount(on: directory + "/merged", why: "one tree out of the layers")
        return directory + "/merged"
    }

    private static func json(_ change: LayerChange) -> JSON {
        .object(present: [
            ("path", .string("/" + String(decoding: change.path, as: UTF8.self))),
            ("kind", .string(change.letter)),
        ])
    }
}

extension LayerChange {
    /// As `docker diff` has it.
    fileprivate var letter: String {
        switch kind {
        case .added: "A"
        case .modified: "C"
        case .deleted: "D"
        }
    }
}
