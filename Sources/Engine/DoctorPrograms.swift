import Glibc
import Kernel

extension Doctor {
    /// Programs of others that Hull calls, or that an image is made of.
    static func helperPrograms(_ isRoot: Bool) -> [Finding] {
        [staticBusybox()]
            + helpers.map { helper in
                if let found = helper.names.compactMap(program).first {
                    return .ok(helper.names[0], found)
                }
                let names = helper.names.joined(separator: " or ")
                return .warning(
                    helper.names[0], isRoot ? "no \(names); root does without" : "no \(names)",
                    costs: helper.use, remedy: "sudo apt-get install \(helper.package)")
            }
    }

    /// A busybox that runs in a root file system without libraries.
    private static func staticBusybox() -> Finding {
        let remedy = "sudo apt-get install busybox-static"
        let cost = "no default image (labs/tour)"
        guard let path = program("busybox") else {
            return .warning("busybox", "none", costs: cost, remedy: remedy)
        }
        if isDynamic(path) {
            return .warning("busybox", "\(path) needs libraries", costs: cost, remedy: remedy)
        }
        return .ok("busybox", "\(path), static")
    }

    private static func isDynamic(_ path: String) -> Bool {
        guard let file = try? Descriptor.open(path, O_RDONLY),
            let head = try? file.read(upTo: 4096)
        else { return false }
        // A dynamic program names its loader near its start (PT_INTERP).
        return String(decoding: head, as: Unicode.ASCII.self).contains("/ld-")
    }
}

private struct Helper {
    let names: [String]
    let use: String
    let package: String
}

private let helpers = [
    Helper(
        names: ["newuidmap"], use: "rootless containers with one user only (stage 5)",
        package: "uidmap"),
    Helper(
        names: ["pasta", "slirp4netns"], use: "rootless containers without a network (stage 4)",
        package: "passt"),
    Helper(
        names: ["fuse-overlayfs"], use: "rootless overlays on kernels before 5.11",
        package: "fuse-overlayfs"),
]
