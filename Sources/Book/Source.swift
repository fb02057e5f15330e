/// A file of `Sources/` and the regions marked in it.
///
/// A region is what stands between two comments that have a line each:
///
///     // book: begin pivot
///     try Mounts.pivot(to: root)
///     // book: end pivot
///
/// Shell scripts have `#` in place of `//`. A name is made of lower-case letters, digits
/// and hyphens, and is used once in a file. Regions may nest, as brackets do. A reader of
/// the book sees neither the markers nor the indentation that all lines share.
struct Source {
    let path: String
    /// The lines between the markers, by the region's name.
    private(set) var regions: [String: Range<Int>] = [:]
    private let lines: [String]

    init(_ file: TextFile) throws(Problem) {
        path = file.path
        lines = file.lines
        try findRegions()
    }

    /// The lines of a region, or of the whole file, as the book shows them.
    func snippet(_ region: String?) -> [String]? {
        guard let region else { return shown(lines[...]) }
        return regions[region].map { shown(lines[$0]) }
    }

    /// The word after the fence, which tells a renderer what to colour.
    var language: String {
        let name = path.split(separator: "/").last ?? ""
        guard name.contains("."), let ending = name.split(separator: ".").last else {
            return lines.first?.hasSuffix("sh") == true ? "sh" : ""
        }
        return ending == "h" ? "c" : String(ending)
    }

    private mutating func findRegions() throws(Problem) {
        var open: [(name: String, line: Int)] = []
        for (index, line) in lines.enumerated() {
            guard let marker = Marker(line) else { continue }
            if marker.begins {
                let isTaken =
                    regions[marker.name] != nil || open.contains { $0.name == marker.name }
                if isTaken { throw problem(index, "region “\(marker.name)” is there already.") }
                open.append((marker.name, index))
            } else {
                guard let last = open.popLast() else {
                    throw problem(index, "“\(marker.name)” ends here and never began.")
                }
                guard last.name == marker.name else {
                    throw problem(index, "“\(marker.name)” ends inside of “\(last.name)”.")
                }
                regions[marker.name] = last.line + 1..<index
            }
        }
        if let last = open.last { throw problem(last.line, "“\(last.name)” is never ended.") }
    }

    private func problem(_ index: Int, _ message: String) -> Problem {
        Problem(path, index + 1, message)
    }

    private func shown(_ region: ArraySlice<String>) -> [String] {
        var kept = region.filter { Marker($0) == nil }
        while kept.first.map(isBlank) == true { kept.removeFirst() }
        while kept.last.map(isBlank) == true { kept.removeLast() }
        let indents = kept.filter { !isBlank($0) }.map { $0.prefix { $0 == " " }.count }
        let shared = indents.min() ?? 0
        return kept.map { isBlank($0) ? "" : String($0.dropFirst(shared)) }
    }

    private func isBlank(_ line: String) -> Bool { line.allSatisfy(\.isWhitespace) }
}

/// One marker line.
private struct Marker {
    let begins: Bool
    let name: String

    init?(_ line: String) {
        let pattern = /\s*(?:\/\/|#) book: (begin|end) ([a-z0-9-]+)\s*/
        guard let match = line.wholeMatch(of: pattern) else { return nil }
        begins = match.1 == "begin"
        name = String(match.2)
    }
}
