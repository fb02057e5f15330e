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
    static let images = directory + "/stage08-images"
    static let hull = directory + "/hull"
    static let probe = directory + "/hull-probe"

    /// The stages in the order of the book.
    static let stages = [chroot, pid, overlay, network, identity, controlGroups, privileges]
}

/// The ways to run a command in a root file system, one per program.
enum Runner: String, CaseIterable, CustomTestStringConvertible {
    case stage01, stage02, stage03, stage04, stage05, stage06, stage07, hull

    /// The command line up to where ROOTFS and COMMAND follow.
    ///
    /// A bridge takes longer to make and remove than all the rest. Stage 4's tests are about it;
    /// the stages behind it get one only where a test asks for it.
    func command(_ options: [String] = [], rootfs: String, _ command: [String]) -> [String] {
        let hasChoice = options.contains { $0.hasPrefix("--network") || $0 == "-p" }
        let options = mayLackNetwork && !hasChoice ? ["--network", "none"] + options : options
        return program + options + (self == .hull ? ["--rootfs", rootfs] : [rootfs]) + command
    }

    private var program: [String] {
        switch self {
        case .stage01: [Products.chroot]
        case .stage02: [Products.pid]
        case .stage03: [Products.overlay]
        case .stage04: [Products.network]
        case .stage05: [Products.identity]
        case .stage06: [Products.controlGroups]
        case .stage07: [Products.privileges]
        case .hull: [Products.hull, "run", "--rm"]
        }
    }

    private var mayLackNetwork: Bool {
        switch self {
        case .stage01, .stage02, .stage03, .stage04: false
        case .stage05, .stage06, .stage07, .hull: true
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
