import Images
import Isolation
import Kernel
import OCISpec
import Terminal

/// `tag`: another name for an image.
enum TagCommand {
    static let entry = ImageCommand(
        Command("tag", "IMAGE NAME[:TAG]", "Give an image another name.", options: [])
    ) { call throws(KernelError) in
        try call.expectOperands(2...2)
        let name = try ImageReference.parse(call.operands[1])
        try refuseDigest(name)
        try OrdinaryUser.becomeRoot()
        let lease = try call.store.hold()
        try call.store.tag(try call.store.entry(call.operands[0]), as: name)
        lease.release()
        return 0
    }

    private static func refuseDigest(_ name: ImageReference) throws(KernelError) {
        guard name.digest != nil else { return }
        throw KernelError(
            "image name", name.familiar, .invalidArgument,
            remedy: "A digest is found, not chosen; give a name and a tag.")
    }
}
