import Engine
import Images
import Isolation
import Kernel
import OCISpec
import Terminal

/// `image mount`: shows an image's files as a directory of the host's.
enum MountCommand {
    static let entry = ImageCommand(
        Command(
            "image mount", "[IMAGE [DIR]]",
            "Show an image's files in a directory, to be read; or list what is shown where.",
            options: [
                Option("json", nil, .none, "List for programs: one array of objects."),
                .storageDriver, .explain,
            ],
            notes: """
                It stays until `image unmount`, or until the machine is started anew. Without DIR a
                directory is made; its name is printed.
                """)
    ) { call throws(KernelError) in
        try call.expectOperands(0...2)
        try call.options.startNarrator()
        guard let name = call.operands.first else { return try list(call) }
        try OrdinaryUser.becomeRoot()
        let lease = try call.store.hold()
        let image = try call.store.resolve(name)
        let bar = ProgressBar()
        defer { bar.clear() }
        let layers = try call.chosenSnapshots().lowerDirectories(
            for: image, in: call.store, progress: bar.show)
        bar.clear()
        let target = try ImageMounts(call.state).mount(
            image, called: name, layers: layers, on: call.operands.dropFirst().first, lease)
        lease.release()
        Program.write(target + "\n")
        return 0
    }

    private static func list(_ call: ImageCall) throws(KernelError) -> Int32 {
        let mounts = try ImageMounts(call.state).all()
        if call.options.has("json") {
            Program.write(JSON.array(mounts.map(\.json)).text(indent: 2) + "\n")
            return 0
        }
        let style = Style(for: 1)
        let rows = mounts.map { [$0.image, $0.isMounted ? "mounted" : "not mounted", $0.target] }
        Program.write(Table.aligned([["IMAGE", "STATE", "DIRECTORY"].map(style.bold)] + rows))
        return 0
    }
}

/// `image unmount`: takes such directories away.
enum UnmountCommand {
    static let entry = ImageCommand(
        Command(
            "image unmount", "IMAGE|DIR...", "Take away what `image mount` shows.",
            options: [.explain])
    ) { call throws(KernelError) in
        try call.expectOperands()
        try call.options.startNarrator()
        for word in call.operands {
            for target in try ImageMounts(call.state).unmount(word) {
                Program.write(target + "\n")
            }
        }
        return 0
    }
}
