import Foundation
import Testing

/// The executables under test, found beside the test bundle.
enum Products {
    static let directory: String = {
        let bundle = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        return ((bundle ?? CommandLine.arguments[0]) as NSString).deletingLastPathComponent
    }()

    static let chroot = directory + "/stage01-chroot"
    static let pid = directory + "/stage02-pid"
    static let overlay = directory + "/stage03-overlay"
    static let network = directory + "/stage04-network"
    static let identity = directory + "/stage05-identity"
    static let controlGroups = directory + "/stage06-cgroups"
    static let privileges = directory + "/stage07-privileges"
    static let hull = directory + "/hull"
    static let probe = directory + "/hull-probe"

    /// The stages in the order of the book.
    static let stages = [chroot, pid, overlay, network, identity, controlGroups, privileges]
}

/// The ways to run a command in a root file system, one per program.
enum Runner: String, CaseIterable, CustomTestStringConvertible {
    case stage01, stage02, stage03, stage04, stage05, stage06, stage07, hull

    /// The command line up to where ROOTFS and COMMAND follow.
    func command(_ options: [String] = [], rootfs: String, _ command: [String]) -> [String] {
        switch self {
        case .stage01: [Products.chroot] + options + [rootfs] + command
        case .stage02: [Products.pid] + options + [rootfs] + command
        case .stage03: [Products.overlay] + options + [rootfs] + command
        case .stage04: [Products.network] + options + [rootfs] + command
        case .stage05: [Products.identity] + options + [rootfs] + command
        case .stage06: [Products.controlGroups] + options + [rootfs] + command
        case .stage07: [Products.privileges] + options + [rootfs] + command
        case .hull: [Products.hull, "run", "--rm"] + options + ["--rootfs", rootfs] + command
        }
    }

    var testDescription: String {
        self == .hull ? "hull run" : rawValue
    }

    /// The runners that give each sandbox a PID namespace.
    static let withProcesses: [Runner] = [
        .stage02, .stage03, .stage04, .stage05, .stage06, .stage07, .hull,
    ]
    /// The runners that give each sandbox its own mounts.
    static let withMounts: [Runner] = [.stage03, .stage04, .stage05, .stage06, .stage07, .hull]
}
