import Foundation
import OCISpec

/// Hull's programs with a state directory of a test's own.
final class Hull: Client, Sendable {
    let place: Place
    var state: String { place / "state" }

    private let extra: [String: String]

    /// - Parameter environment: for all its programs, besides what they always have.
    init(environment: [String: String] = [:]) throws {
        place = try Place("hull")
        extra = environment
    }

    /// Where the programs are: beside the test bundle.
    static let products: String = {
        let test = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return ((test ?? CommandLine.arguments[0]) as NSString).deletingLastPathComponent
    }()

    var client: [String] { [Hull.products + "/hull"] }

    /// Runs another of the programs, such as `stage09-registry`.
    @discardableResult
    func program(_ name: String, _ words: String...) throws -> String {
        try InteropTests.run(["\(Hull.products)/\(name)"] + words, environment: environment)
    }

    /// The id that `hull images` gives for a name.
    func id(of image: String) throws -> String {
        let list = JSONReader(try JSON.parse(try self("images", "--json")))
        let found = try list.array().first { image == (try? $0["name"].string()) }
        return try found?["id"].string() ?? "\(image) is not there"
    }

    /// A blob of the store that is text.
    func blob(_ digest: String) throws -> String {
        let path = "\(state)/images/blobs/sha256/\(digest.dropFirst(7))"
        return try String(contentsOfFile: path, encoding: .utf8)
    }

    /// The configuration of an image, as it is in the store.
    func configuration(of image: String) throws -> String { try blob(try id(of: image)) }

    /// A copy of what an image's containers see, made from the layers that are unpacked for them.
    func tree(of image: String, _ configuration: String) throws -> String {
        // Unpacked when it is first used.
        _ = try outcome(of: "run", "--rm", "--network", "none", image, "/bin/true")
        let copy = try place.makeDirectory("tree-\(randomWord())")
        let diffIDs = try JSONReader(try JSON.parse(configuration))["rootfs"]["diff_ids"].strings()
        let layers = try chainIDs(diffIDs).map { "\(state)/snapshots/\($0.dropFirst(7))/fs" }
        try InteropTests.run([
            "unshare", "--mount", "--propagation", "private", "sh", "-ec",
            """
            mkdir "$1.mount"
            mount -t overlay -o "ro,lowerdir=$2:$1.mount" overlay "$1.mount"
            cp -a "$1.mount/." "$1"
            """, "copy", copy, layers.reversed().joined(separator: ":"),
        ])
        return copy
    }

    var environment: [String: String] {
        ["HULL_ROOT": state, "HOME": place.path, "TMPDIR": place.path].merging(extra) { $1 }
    }
}
