import Foundation

/// Links from one file of the project to another.
enum Links {
    /// A link of `chapter` for each file that is not there.
    static func broken(in chapter: Chapter, root: String) -> [Problem] {
        let folder = (chapter.file.path as NSString).deletingLastPathComponent
        return chapter.prose.flatMap { index, text in
            targets(in: text).filter { !exists($0, from: folder, root) }.map {
                Problem(chapter.file.path, index + 1, "this link leads to no file: \($0)")
            }
        }
    }

    private static func targets(in text: String) -> [String] {
        let prose = text.replacing(/`+[^`]*`+/, with: "`")
        let inline = prose.matches(of: /\]\(\s*<?([^)\s>]+)>?[^)]*\)/).map(\.1)
        let reference = prose.matches(of: /^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)>?/).map(\.1)
        let tags = prose.matches(of: /(?:src|href)="([^"]+)"/).map(\.1)
        return (inline + reference + tags).map(String.init)
    }

    private static func exists(_ target: String, from folder: String, _ root: String) -> Bool {
        if target.hasPrefix("#") || target.prefixMatch(of: /[a-zA-Z][a-zA-Z0-9+.-]*:/) != nil {
            return true
        }
        let path = String(target.prefix { $0 != "#" })
        let name = path.removingPercentEncoding ?? path
        let place = name.hasPrefix("/") ? root + name : "\(root)/\(folder)/\(name)"
        return FileManager.default.fileExists(atPath: place)
    }
}
