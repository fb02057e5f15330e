import Images
import Kernel
import OCISpec
import Terminal

/// `image verify`: reads images back and compares them with their digests.
enum VerifyCommand {
    static let entry = ImageCommand(
        Command(
            "image verify", "[IMAGE...]",
            "Read images back, or all of them, and compare them with their digests.", options: [],
            notes: "The exit code is 125 where one is damaged or not complete.")
    ) { call throws(KernelError) in
        var entries: [ContentDescriptor] = []
        for name in call.operands { entries.append(try call.store.entry(name)) }
        if call.operands.isEmpty { entries = try call.store.index().manifests }
        for entry in entries {
            let count = try call.store.verify(image: entry)
            Program.write("\(entry.shownName): \(count) blobs are as they should be\n")
        }
        return 0
    }
}
