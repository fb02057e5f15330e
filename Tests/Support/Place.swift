import Foundation
import Testing

/// A directory of a test's own, under a random name: state, root file systems, files.
///
/// Every name and every value in it differs from run to run, so that nothing can be
/// right by being hard-coded.
final class Place: Sendable {
    /// What the names of this run's places begin with, and nothing else on a machine does.
    static let prefix = "/tmp/hull-tests-" + randomWord().prefix(5) + "-"

    /// The place of the test that runs now.
    @TaskLocal static var current: Place?

    let directory: String
    /// HULL_ROOT for every program that the test starts.
    var state: String { directory + "/state" }

    init() throws {
        directory = Place.prefix + Place.randomWord()
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        // An unprivileged user has to get at the programs' files.
        chmod(directory, 0o755)
    }

    /// Takes the place away. Mounts in it are a leak, and left for the leak check to name.
    func remove() { try? FileManager.default.removeItem(atPath: directory) }

    /// Twelve random letters and digits.
    static func randomWord() -> String {
        let letters = Array("abcdefghijklmnopqrstuvwxyz")
        let characters = letters + Array("0123456789")
        let first = letters.randomElement() ?? "x"
        return String(first) + String((0..<11).map { _ in characters.randomElement() ?? "y" })
    }

    /// Makes a directory in the place.
    func makeDirectory(_ name: String) throws -> String {
        let path = directory + "/" + name
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    /// Writes a file, made with its directories.
    @discardableResult
    func write(_ text: String, to name: String, mode: mode_t = 0o644) throws -> String {
        let path = name.hasPrefix("/") ? name : directory + "/" + name
        let parent = (path as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        guard FileManager.default.createFile(atPath: path, contents: Data(text.utf8)) else {
            throw ProgramFailure(description: "cannot write \(path)")
        }
        chmod(path, mode)
        return path
    }

    /// A root file system from Debian's busybox-static, with the probe in it.
    ///
    /// - Parameter applets: the commands in it; nil for all that busybox has.
    func rootfs(
        _ name: String = "rootfs-" + Place.randomWord(), applets: [String]? = nil,
        hasProbe: Bool = true
    ) throws -> String {
        let path = try makeDirectory(name)
        for directory in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "var"] {
            _ = try makeDirectory(name + "/" + directory)
        }
        chmod(path + "/tmp", 0o1777)
        try copy(Place.busybox(), to: path + "/bin/busybox")
        if hasProbe { try addProbe(to: path) }
        for applet in try applets ?? Place.applets.get() {
            symlink("busybox", path + "/bin/" + applet)
        }
        // A shell gives its background jobs this as their standard input.
        mknod(path + "/dev/null", S_IFCHR | 0o666, 0x103)
        try write("root:x:0:0:root:/root:/bin/sh\n", to: path + "/etc/passwd")
        try write("root:x:0:\n", to: path + "/etc/group")
        return path
    }

    /// Puts hull-probe into a root file system, where it was built.
    func addProbe(to rootfs: String) throws {
        let target = rootfs + "/bin/hull-probe"
        guard access(Products.probe, X_OK) == 0, access(target, F_OK) != 0 else { return }
        try copy(Products.probe, to: target)
    }

    private func copy(_ source: String, to target: String) throws {
        try FileManager.default.copyItem(atPath: source, toPath: target)
        chmod(target, 0o755)
    }

    private static func busybox() throws -> String {
        for path in ["/usr/bin/busybox", "/bin/busybox"] where access(path, X_OK) == 0 {
            return path
        }
        throw ProgramFailure(
            description: "busybox is missing. Install Debian's busybox-static: labs/test does.")
    }

    private static let applets = Result {
        try run([busybox(), "--list"]).lines.filter { $0 != "busybox" }
    }
}

/// The place of the running test.
func place() throws -> Place { try #require(Place.current) }

/// Every file below a directory with its kind, mode and content: what "unchanged" means.
func fingerprint(of directory: String) throws -> [String: String] {
    var files: [String: String] = [:]
    let names = try FileManager.default.subpathsOfDirectory(atPath: directory)
    for name in names {
        let path = directory + "/" + name
        var status = stat()
        lstat(path, &status)
        var text = "mode \(String(status.st_mode, radix: 8)) owner \(status.st_uid)"
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            text += " time \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
            text += " \(try Data(contentsOf: URL(fileURLWithPath: path)).hashValue)"
        case S_IFLNK:
            text += " → \(try FileManager.default.destinationOfSymbolicLink(atPath: path))"
        default: break
        }
        files[name] = text
    }
    return files
}
