import Foundation

/// A directory that goes with the value that stands for it.
final class Place: Sendable {
    let path: String

    /// In the suite's own, which takes all of them with it at the end.
    init(_ kind: String = "place") throws {
        let parent = Workshop.current?.directory ?? "/var/tmp"
        path = "\(parent)/\(kind)-\(randomWord())"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o755])
    }

    // rm and not FileManager, which stops at names that are not UTF-8.
    deinit { removeAll(path) }

    static func / (place: Place, name: String) -> String { place.path + "/" + name }

    /// Makes a directory in it.
    func makeDirectory(_ name: String) throws -> String {
        let directory = self / name
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        return directory
    }

    /// Writes a file in it.
    @discardableResult
    func makeFile(_ name: String, _ text: String = "") throws -> String {
        let file = self / name
        _ = try makeDirectory((name as NSString).deletingLastPathComponent)
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        return file
    }
}

/// Twelve random letters and digits, a letter first.
func randomWord() -> String {
    let letters = "abcdefghijklmnopqrstuvwxyz"
    let more = (0..<11).compactMap { _ in (letters + "0123456789").randomElement() }
    return String([letters.randomElement() ?? "x"] + more)
}

func removeAll(_ path: String) {
    let removal = Process()
    removal.executableURL = URL(fileURLWithPath: "/bin/rm")
    removal.arguments = ["-rf", "--one-file-system", path]
    try? removal.run()
    removal.waitUntilExit()
}
