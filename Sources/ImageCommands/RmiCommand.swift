import Images
import Isolation
import Kernel
import OCISpec
import Terminal

/// `rmi`: takes names away, and images that have none left.
enum RmiCommand {
    static let entry = ImageCommand(
        Command(
            "rmi", "IMAGE...", "Take a name away from an image, and the image with its last one.",
            options: [
                Option(
                    "force", "f", .none,
                    "Even if a container is made of it, or an id has several names.")
            ],
            notes: """
                IMAGE is a name, NAME@DIGEST or the first digits of an id. With a name goes what
                it meant before. What a container stands on stays as long as the container.
                """)
    ) { call throws(KernelError) in
        try call.expectOperands()
        try OrdinaryUser.becomeRoot()
        let force = call.options.has("force")
        var isAnythingDeleted = false
        for name in call.operands {
            let removed = try call.store.remove(name, force: force, user: call.user)
            for name in removed.untagged {
                Program.write("Untagged: \((try? ImageReference(name))?.familiar ?? name)\n")
            }
            guard let id = removed.deleted else { continue }
            Program.write("Deleted: \(id)\n")
            isAnythingDeleted = true
        }
        if isAnythingDeleted { Program.write(try call.collectGarbage() + "\n") }
        return 0
    }
}
