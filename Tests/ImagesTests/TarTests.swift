import Foundation
import Kernel
import OCISpec
import Testing

@testable import Images

@Suite struct TarTests {
    @Test(arguments: ["--format=posix --xattrs --xattrs-include='*'", "--format=gnu"], ["", "z"])
    func `GNU tar's archive unpacks to the same files`(_ format: String, _ packed: String) throws {
        let scratch = try TemporaryDirectory()
        try makeTree(scratch / "tree")
        if format.contains("gnu") {
            // This form knows neither parts of a second nor extended attributes.
            try shell(
                """
                cd '\(scratch / "tree")'
                setfattr -x user.colour dir/random; setfattr -x user.dir dir/sub
                setfattr -x trusted.hull dir/sub/text
                find . -depth -print0 | while IFS= read -r -d '' f; do
                    touch -h -d "@$(stat -c %Y "$f")" "$f"; done
                """)
        }
        try shell("tar c\(packed)f '\(scratch / "a.tar")' \(format) -C '\(scratch / "tree")' .")
        try unpack(scratch / "a.tar", into: scratch / "out")
        #expect(try listing(scratch / "out") == listing(scratch / "tree"))
    }

    @Test func `GNU tar unpacks our archive to the same files`() throws {
        let scratch = try TemporaryDirectory()
        try makeTree(scratch / "tree")
        try archive(scratch / "tree", scratch / "a.tar")
        try shell(
            """
            mkdir '\(scratch / "out")'
            tar xpf '\(scratch / "a.tar")' --numeric-owner --xattrs --xattrs-include='*' \
                -C '\(scratch / "out")'
            """)
        #expect(try listing(scratch / "out") == listing(scratch / "tree"))
        try unpack(scratch / "a.tar", into: scratch / "ours")
        #expect(try listing(scratch / "ours") == listing(scratch / "tree"))
    }

    @Test func `The same directory gives the same archive`() throws {
        let scratch = try TemporaryDirectory()
        try makeTree(scratch / "tree")
        try shell("cp -a '\(scratch / "tree")' '\(scratch / "copy")'")
        try archive(scratch / "tree", scratch / "a.tar")
        try archive(scratch / "copy", scratch / "b.tar")
        #expect(try readFile(scratch / "a.tar") == readFile(scratch / "b.tar"))
    }

    @Test func `Deleted files are marked for overlayfs and back`() throws {
        let scratch = try TemporaryDirectory()
        try writeArchive(
            scratch / "a.tar",
            [
                entry("dir", .directory), file("dir/.wh.gone"), file("opaque/.wh..wh..opq"),
                file("opaque/new"), file(".wh..wh.plnk"), file(".wh.again"),
                entry("again", .directory),
                file("kept"), file(".wh.kept"),
            ])
        try unpack(scratch / "a.tar", into: scratch / "out")
        let found = try shell(
            """
            cd '\(scratch / "out")'; stat -c '%n %F %t %T' dir/gone; ls; find . -name '.wh*'
            getfattr --only-values -n trusted.overlay.opaque opaque again
            """)
        #expect(
            String(decoding: found, as: UTF8.self)
                == "dir/gone character special file 0 0\nagain\ndir\nkept\nopaque\nyy")
        try archive(scratch / "out", scratch / "b.tar")
        let names = try shell("tar tf '\(scratch / "b.tar")'")
        #expect(
            String(decoding: names, as: UTF8.self)
                == "./\nagain/\nagain/.wh..wh..opq\ndir/\ndir/.wh.gone\nkept\nopaque/\n"
                + "opaque/.wh..wh..opq\nopaque/new\n")
    }

    @Test func `The last of several entries counts`() throws {
        let scratch = try TemporaryDirectory()
        try writeArchive(
            scratch / "a.tar",
            [
                file("a"), entry("a", .directory), file("a/b"),
                entry("a", .symbolicLink(target: [46])),
                file("f"), entry("f", .regular(size: 2)), entry("d", .directory), file("d/kept"),
                entry("d", .directory), file("h1"),
                entry("h2", .hardLink(target: Array("h1".utf8))),
                file("h1"),
            ])
        try unpack(scratch / "a.tar", into: scratch / "out")
        let found = try shell(
            "cd '\(scratch / "out")'; find . ! -type d -printf '%p %y %s %n\\n' | sort")
        #expect(
            String(decoding: found, as: UTF8.self)
                == "./a l 1 1\n./d/kept f 4 1\n./f f 2 1\n./h1 f 4 1\n./h2 f 4 1\n")
    }

    @Test func `Several gzip members and zeros at the end are one file`() throws {
        let scratch = try TemporaryDirectory()
        try shell(
            """
            cd '\(scratch.path)'; mkdir t; head -c 300000 /dev/urandom > t/f; tar cf a.tar --format=posix -C t .
            head -c 100000 a.tar | gzip > a.gz; tail -c +100001 a.tar | gzip >> a.gz
            head -c 1000 /dev/zero >> a.gz
            """)
        try unpack(scratch / "a.gz", into: scratch / "out")
        #expect(try listing(scratch / "out") == listing(scratch / "t"))
    }

    @Test func `Several frames of zstd, and frames to be skipped, are one file`() throws {
        let scratch = try TemporaryDirectory()
        try shell(
            """
            cd '\(scratch.path)'; mkdir t; head -c 300000 /dev/urandom > t/f; echo x > t/g
            tar cf a.tar --format=posix -C t .
            printf '\\x53\\x2a\\x4d\\x18\\x03\\0\\0\\0abc' > a.zst
            head -c 100000 a.tar | zstd -q >> a.zst; tail -c +100001 a.tar | zstd -q -19 >> a.zst
            printf '\\x53\\x2a\\x4d\\x18\\x03\\0\\0\\0abc' >> a.zst; : | zstd -q >> a.zst
            """)
        try unpack(scratch / "a.zst", into: scratch / "out")
        #expect(try listing(scratch / "out") == listing(scratch / "t"))
    }

    @Test func `What we pack as zstd is the same every time, and zstd unpacks it`() throws {
        let scratch = try TemporaryDirectory()
        try shell("cd '\(scratch.path)'; seq 400000 > plain")
        for name in ["one.zst", "two.zst"] {
            let plain = FileSource(try Descriptor.open(scratch / "plain", O_RDONLY), named: "plain")
            let file = try Descriptor.open(scratch / name, O_WRONLY | O_CREAT, mode: 0o600)
            let sink = ZstdSink(FileSink(file, named: name))
            try plain.copy(to: sink)
            try sink.finish()
        }
        try shell("cd '\(scratch.path)'; cmp one.zst two.zst; zstd -dqc one.zst | cmp - plain")
    }

    func archive(_ directory: String, _ path: String) throws {
        let file = try Descriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        var archive = DirectoryArchive(to: FileSink(file, named: path))
        try archive.write(directory)
    }
}
