import Foundation
import Kernel
import OCISpec
import Testing

@testable import Images

/// What changed between two trees, found in an overlay's upper directory and in a whole copy.
@Suite struct LayerDiffTests {
    let scratch: TemporaryDirectory

    init() throws { scratch = try TemporaryDirectory() }

    /// Every kind of change to `makeTree`'s tree, with fixed times.
    static let everyChange = """
        echo new > new; mkdir -p added/deep; echo x > added/deep/x
        echo changed > dir/sub/text; chmod 700 empty; chown 5:6 dir/block
        rm dangling; ln -s elsewhere dangling; rm -r dir/sub/loop
        rm dir/fifo; mkdir dir/fifo; echo in > dir/fifo/in
        rm -r long-hard; setfattr -n user.more -v 1 dir/char 2>/dev/null || true
        setfattr -n user.dir -v 2 dir/sub; ln new second-name; mknod null c 1 3
        mkdir replaced-soon; rm -r replaced-soon
        find . -newermt '2020-01-01' ! -newermt '2029-01-01' -print0 \
            | xargs -0 touch -h -d '2021-01-01 00:00:00.987654321'
        """

    @Test(arguments: [
        everyChange, "true", "rm -r dir; mkdir dir; touch -d @1 dir .",
        "rm -rf ./* ; touch -d @1 .", "echo x > dir/sub/text; touch -d @5 dir/sub/text",
        "mv dir/random renamed; touch -d @1 dir .", "rm -r dir; echo f > dir; touch -d @1 dir",
        "chmod 700 .", "ln empty-file another; touch -d @1 . empty-file",
        "touch dir/new; rm dir/new; touch -d @1 dir",
    ])
    func `The same change is the same layer in an overlay and in a copy`(_ change: String) throws {
        try makeTree(scratch / "lower")
        try shell("rm '\(scratch / "lower/another-hard")' '\(scratch / "lower/dir/sub/hard")'")
        try shell("rm '\(scratch / "lower/long-hard")'; touch '\(scratch / "lower/long-hard")'")
        try shell("touch -d '2000-01-01' '\(scratch / "lower")'")
        try make(change, onOverlayOf: ["lower"])
        try shell(
            "cp -a '\(scratch / "lower")' '\(scratch / "copy")'; cd '\(scratch / "copy")'\n\(change)"
        )
        let overlay = try layer(.overlay(scratch / "upper"), ["lower"])
        let copy = try layer(.tree(scratch / "copy"), ["lower"])
        #expect(overlay.changes == copy.changes)
        #expect(overlay.digest == copy.digest)
    }

    @Test func `The layer on top of the layers below is the changed tree`() throws {
        try makeTree(scratch / "lower")
        try make(Self.everyChange, onOverlayOf: ["lower"])
        _ = try layer(.overlay(scratch / "upper"), ["lower"])
        try unpack(scratch / "layer.tar", into: scratch / "unpacked")
        let shown = try inOverlay(
            ["unpacked", "lower"], "find . -printf '%p %y %m %U %G %s %T@ %l\\n' | sort")
        let wanted = try inOverlay(
            ["upper", "lower"], "find . -printf '%p %y %m %U %G %s %T@ %l\\n' | sort")
        // Only the root's time is not part of it.
        #expect(lines(shown).count == lines(wanted).count && lines(wanted).count > 20)
        for (one, other) in zip(lines(shown), lines(wanted)) where !one.hasPrefix(". ") {
            #expect(one == other)
        }
    }

    @Test func `Additions, changes and deletions are told apart`() throws {
        try shell(
            """
            cd '\(scratch.path)'; mkdir -p lower/a/b lower/gone upper/a/b/ new
            echo 1 > lower/a/b/changed; echo 2 > upper/a/b/changed; echo 3 > upper/a/added
            echo 4 > lower/same; cp -a lower/same upper/same; cp -a lower/a/b upper/a/unused
            touch -r lower/a/b upper/a/b; mknod upper/gone c 0 0; mknod upper/never c 0 0
            mkdir upper/a/empty-change; rm -r upper/a/unused upper/a/empty-change
            """)
        let changes = try layer(.overlay(scratch / "upper"), ["lower"]).changes
        #expect(
            changes == [
                "M a", "A a/added", "M a/b", "M a/b/changed", "D gone",
            ])
    }

    @Test func `Layers below are seen through their whiteouts and opaque directories`() throws {
        try shell(
            """
            cd '\(scratch.path)'; mkdir -p one/d one/o two/d two/o upper/d upper/o
            touch one/d/x one/d/y one/o/hidden; mknod two/d/x c 0 0; touch two/o/shown
            setfattr -n trusted.overlay.opaque -v y two/o
            touch -r two/d upper/d; touch -r two/o upper/o
            mknod upper/d/x c 0 0; mknod upper/d/y c 0 0; mknod upper/o/hidden c 0 0
            mknod upper/o/shown c 0 0
            """)
        let changes = try layer(.overlay(scratch / "upper"), ["two", "one"]).changes
        #expect(changes == ["M d", "D d/y", "M o", "D o/shown"])
    }

    @Test func `Hard links stay hard links, with all their names in the layer`() throws {
        try shell(
            """
            cd '\(scratch.path)'; mkdir lower; echo x > lower/a; cp -a lower tree
            ln tree/a tree/b; mkdir tree/sub; ln tree/a tree/sub/c
            """)
        let changes = try layer(.tree(scratch / "tree"), ["lower"]).changes
        #expect(changes == ["M a", "A b", "A sub", "A sub/c"])
        try unpack(scratch / "layer.tar", into: scratch / "out")
        let found = try shell("stat -c %h '\(scratch / "out/sub/c")'")
        #expect(String(decoding: found, as: UTF8.self) == "3\n")
    }

    @Test func `An unchanged name of a changed file comes with it`() throws {
        try shell(
            """
            cd '\(scratch.path)'; mkdir -p lower/d; echo x > lower/d/a; ln lower/d/a lower/b
            cp -a lower tree; ln tree/b tree/c; rm tree/d/a; touch -r lower/d tree/d
            """)
        // The number of links of `b` is what it was.
        let changes = try layer(.tree(scratch / "tree"), ["lower"]).changes
        #expect(changes == ["M b", "A c", "M d", "D d/a"])
    }

    @Test func `A file put back to its old time and size is still a change`() throws {
        try shell(
            """
            cd '\(scratch.path)'; mkdir lower; echo one > lower/f; cp -a lower tree
            echo two > tree/f; touch -r lower/f tree/f
            """)
        #expect(try layer(.tree(scratch / "tree"), ["lower"]).changes == ["M f"])
    }

    @Test func `A file that is called like a whiteout is refused`() throws {
        try shell("cd '\(scratch.path)'; mkdir lower tree; touch tree/.wh.etc")
        let error = #expect(throws: KernelError.self) {
            try layer(.tree(scratch / "tree"), ["lower"])
        }
        #expect(error?.object == ".wh.etc" && error?.remedy.contains("rename") == true)
    }

    @Test func `A directory deeper than a layer may be is refused`() throws {
        let deep = String(repeating: "d/", count: 300)
        try shell("cd '\(scratch.path)'; mkdir -p lower 'tree/\(deep)'")
        let error = #expect(throws: KernelError.self) {
            try layer(.tree(scratch / "tree"), ["lower"])
        }
        #expect(error?.errno.rawValue == ENAMETOOLONG)
    }

    @Test func `A socket is left out, and hides what was there`() throws {
        try shell(
            """
            cd '\(scratch.path)'; mkdir lower tree; touch lower/s
            python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' tree/s
            """)
        #expect(try layer(.tree(scratch / "tree"), ["lower"]).changes == ["D s"])
    }

    // Helpers

    /// Runs a script in an overlay, whose upper directory is `upper` afterwards.
    private func make(_ script: String, onOverlayOf lower: [String]) throws {
        // The engine gives the upper directory what the root below has.
        try shell(
            """
            cd '\(scratch.path)'; mkdir -p upper work merged
            chmod --reference='\(lower[0])' upper
            unshare -m bash -euc 'mount -t overlay o -o lowerdir=\(lower.joined(separator: ":")),upperdir=upper,workdir=work merged
            cd merged; '\(quoted(script))
            """)
    }

    private func inOverlay(_ lower: [String], _ script: String) throws -> Data {
        try shell(
            """
            cd '\(scratch.path)'; mkdir -p merged
            unshare -m bash -euc 'mount -t overlay o -o lowerdir=\(lower.joined(separator: ":")) merged
            cd merged; '\(quoted(script))
            """)
    }

    private func quoted(_ text: String) -> String {
        "'" + text.replacing("'", with: "'\\''") + "'"
    }

    private func lines(_ data: Data) -> [Substring] {
        String(decoding: data, as: UTF8.self).split(separator: "\n")
    }

    @discardableResult
    private func layer(
        _ upper: LayerDiff.Upper, _ lower: [String]
    ) throws -> (changes: [String], digest: Digest) {
        let diff = try LayerDiff(of: upper, on: lower.map { scratch / $0 })
        let changes = try diff.changes()
        let file = try Descriptor.open(
            scratch / "layer.tar", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        let sink = HashingSink(FileSink(file, named: "layer"))
        try diff.write(changes, to: sink)
        let shown = changes.map { change in
            let letter =
                switch change.kind {
                case .added: "A"
                case .modified: "M"
                case .deleted: "D"
                }
            return letter + " " + change.path.shown
        }
        return (shown, sink.digest)
    }
}
