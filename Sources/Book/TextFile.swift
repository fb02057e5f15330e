import Foundation

/// A text file as lines, which can be written back as it was read.
struct TextFile {
    /// From the top of the project.
    let path: String
    /// Without their line ends. The last one is empty where the file ends with a line end.
    var lines: [String]
    private let lineEnd: String
    private let location: String

    /// Reads `path`, which starts at `root`.
    init(_ path: String, in root: String) throws(Problem) {
        let location = root + "/" + path
        guard let data = FileManager.default.contents(atPath: location) else {
            throw Problem(path, nil, "there is no such file, or it cannot be read.")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw Problem(path, nil, "this is not UTF-8.")
        }
        self.path = path
        self.location = location
        lineEnd = text.contains("\r\n") ? "\r\n" : "\n"
        lines = text.replacingOccurrences(of: "\r\n", with: "\n").components(separatedBy: "\n")
    }

    /// Replaces the file in one step, so that a reader never sees half of it.
    ///
    /// Under sudo the new file would be root's; it goes to whoever had the old one.
    func write() throws(Problem) {
        let data = Data(lines.joined(separator: lineEnd).utf8)
        var old = stat()
        let isThere = stat(location, &old) == 0
        do {
            try data.write(to: URL(fileURLWithPath: location), options: .atomic)
            if isThere { chown(location, old.st_uid, old.st_gid) }
        } catch {
            throw Problem(path, nil, "this cannot be written: \(error.localizedDescription)")
        }
    }
}
