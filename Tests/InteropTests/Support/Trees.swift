import Foundation
import Testing

/// Everything about every file below `path`, one line each: type, mode, owner, size, time, where
/// links point, device numbers, content, extended attributes, and which names are one file.
///
/// overlayfs's own attributes do not count: they say how a layer lies on others.
/// - Parameter attributes: whether extended attributes count.
func listing(_ path: String, attributes: Bool = true) throws -> [String] {
    let pattern = attributes ? "-" : "^nothing$"
    let script = """
        cd '\(path)'
        find . ! -type d -printf '%p %y %m %U %G %s %T@ %l %n\\n'
        find . -mindepth 1 -type d -printf '%p %y %m %U %G %T@\\n'
        find . -maxdepth 0 -printf '%p %y %m %U %G\\n'
        find . -type b,c -print0 | xargs -0r stat -c '%n device %t %T'
        find . -type f -print0 | xargs -0r sha256sum
        find . ! -type l -print0 | xargs -0r getfattr -d -m '\(pattern)' -e hex 2>/dev/null |
            awk '/^# file: / { file = $0 } /=/ && !/^#/ && !/[.]overlay[.]/ { print file, $0 }'
        find . -type f -links +1 -printf '%i %p\\n' | sort -k2 |
            awk '{ if (!($1 in first)) first[$1] = $2; print $2, "is", first[$1] }'
        """
    return try shell(script).split(separator: "\n").map(String.init).sorted()
}

/// Expects that two directories hold the same, file by file.
func expectSameTree(
    _ one: String, _ other: String, attributes: Bool = true,
    _ location: SourceLocation = #_sourceLocation
) throws {
    let first = Set(try listing(one, attributes: attributes))
    let second = Set(try listing(other, attributes: attributes))
    let lost = first.subtracting(second).sorted().prefix(8).joined(separator: "\n")
    let added = second.subtracting(first).sorted().prefix(8).joined(separator: "\n")
    #expect(
        first == second, "only in \(one):\n\(lost)\nonly in \(other):\n\(added)",
        sourceLocation: location)
    #expect(first.count > 10, "there is little to compare", sourceLocation: location)
}

/// The chain ids of an image's layers, the lowest first. See image-spec, config.md.
func chainIDs(_ diffIDs: [String]) throws -> [String] {
    try shell(
        """
        for layer in \(diffIDs.joined(separator: " ")); do
            if [ -n "${chain-}" ]; then
                layer=sha256:$(printf '%s %s' "$chain" "$layer" | sha256sum | cut -d ' ' -f 1)
            fi
            chain=$layer
            echo "$chain"
        done
        """
    ).split(separator: "\n").map(String.init)
}
