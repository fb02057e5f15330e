import Foundation
import Kernel
import OCISpec
import Testing

@testable import Images

/// What other programs write that goes beyond names and content, against how GNU tar unpacks it.
@Suite struct SparseAndACLTests {
    let scratch: TemporaryDirectory

    init() throws { scratch = try TemporaryDirectory() }

    @Test(arguments: [
        "--format=gnu", "--format=posix --sparse-version=0.0",
        "--format=posix --sparse-version=0.1", "--format=posix --sparse-version=1.0",
    ])
    func `Holes stay holes, as with GNU tar`(_ format: String) throws {
        let long = String(repeating: "n", count: 150)
        try shell(
            """
            cd '\(scratch.path)'; mkdir t; echo before > t/a; echo behind > t/z
            truncate -s 100M t/only-a-hole; truncate -s 1M t/ends-in-data
            printf data >> t/ends-in-data
            truncate -s 50M t/\(long)
            for i in $(seq 0 60); do
                printf "part $i" | dd of=t/\(long) bs=1 seek=$((i * 700000)) conv=notrunc status=none
            done
            tar c --sparse \(format) -f a.tar -C t .
            mkdir theirs; tar xpf a.tar -C theirs
            """)
        try unpack(scratch / "a.tar", into: scratch / "ours")
        #expect(try listing(scratch / "ours") == listing(scratch / "theirs"))
        let blocks = "cd '\(scratch.path)'/%@; find . -type f -printf '%p %b\\n' | sort"
        #expect(
            try shell(blocks.replacing("%@", with: "ours"))
                == shell(blocks.replacing("%@", with: "theirs")))
    }

    @Test(arguments: [
        "tar --xattrs --acls --xattrs-include='*' --format=posix", "bsdtar --format=pax",
    ])
    func `Access control lists and attributes arrive, whoever wrote them`(_ program: String) throws
    {
        try shell(
            """
            cd '\(scratch.path)'; mkdir -p t/d; echo x > t/f; echo y > t/d/plain
            setfacl -m u:12345:r-x,g:54321:-w-,m::rwx t/f
            setfacl -m d:u:23456:rwx t/d; setfacl -m u:1:--x t/d
            setfattr -n user.odd%n=me -v 'a b=c' t/f; setfattr -n user.binary -v 0x00ff0a3d t/f
            \(program) --numeric-owner -cf a.tar -C t .
            """)
        try unpack(scratch / "a.tar", into: scratch / "ours")
        #expect(try listing(scratch / "ours") == listing(scratch / "t"))
        let lists = "cd '\(scratch.path)'/%@; getfacl -nR ."
        #expect(
            try shell(lists.replacing("%@", with: "ours"))
                == shell(lists.replacing("%@", with: "t")))
    }

    @Test func `A list that names a user of another machine is refused`() throws {
        try writePax([
            ("SCHILY.acl.access", "user::rw-,user:joe:rw-,group::---,mask::rw-,other::---")
        ])
        let error = #expect(throws: KernelError.self) {
            try unpack(scratch / "a.tar", into: scratch / "out")
        }
        #expect(error?.remedy.contains("--xattrs") == true)
    }

    @Test(arguments: [
        "10,5,12,5", "10,5,5,2", "0,5,96,10", "1,2,3", "x", "-1,5", "999999999999999999,5",
        "0,999999999999999999", "0,3", "0,4,4,0,3,1", "99999999999999999999,1",
    ])
    func `A map of parts that overlap or lie outside is refused`(_ map: String) throws {
        try writePax([("GNU.sparse.size", "100"), ("GNU.sparse.map", map)])
        let error = #expect(throws: KernelError.self, "\(map)") {
            try unpack(scratch / "a.tar", into: scratch / "out")
        }
        #expect(error?.errno.rawValue == EBADMSG)
    }

    @Test func `A map of many parts is bounded`() throws {
        for text in ["999999999999\n", "2\n0\n", "\n\n", "1\n0\n1\n99"] {
            try writePax(
                [
                    ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"),
                    ("GNU.sparse.realsize", "100"),
                ], content: text + String(repeating: "\0", count: 512 - text.utf8.count))
            let error = #expect(throws: KernelError.self, "\(text)") {
                try unpack(scratch / "a.tar", into: scratch / "out")
            }
            #expect(error?.errno.rawValue == EBADMSG)
            try removeTree(scratch / "out")
        }
    }

    @Test func `A hole of an exabyte takes no room, or is refused`() throws {
        try writePax([("GNU.sparse.size", String(1 << 59)), ("GNU.sparse.map", "0,4")])
        let error = #expect(throws: KernelError.self) {
            try unpack(scratch / "a.tar", into: scratch / "out")
        }
        #expect(error?.errno.rawValue == EFBIG)
    }

    @Test func `Attributes without measure are refused, soon`() throws {
        let many = (0..<40_000).map { ("SCHILY.xattr.user.\($0)", "") }
        let large = [("SCHILY.xattr.user.a", String(repeating: "v", count: 70_000))]
        for records in [many, large] {
            try writePax(records)
            let error = #expect(throws: KernelError.self) {
                try unpack(scratch / "a.tar", into: scratch / "out")
            }
            #expect(error?.errno.rawValue == EBADMSG)
            try removeTree(scratch / "out")
        }
    }

    @Test func `A directory's default list is not handed down to files without one`() throws {
        try shell(
            """
            cd '\(scratch.path)'; mkdir -p t/d; echo x > t/d/f; chmod 640 t/d/f
            setfacl -m d:u:23456:rwx t/d
            tar --acls --numeric-owner --format=posix -cf a.tar -C t .
            """)
        try unpack(scratch / "a.tar", into: scratch / "out")
        let found = try shell("cd '\(scratch / "out")'; stat -c %a d/f; getfacl -cn d/f | wc -l")
        #expect(String(decoding: found, as: UTF8.self) == "640\n4\n")
    }

    @Test func `Directories that a layer only passes through stay as they are below`() throws {
        try shell(
            """
            cd '\(scratch.path)'; mkdir -p low/a/b top/a; chmod 1777 low/a/b; chown 5:6 low/a
            setfattr -n user.x -v 1 low/a; touch -d '2011-01-01 01:02:03.5' low/a/b low/a
            chmod 711 top/a; touch -d '2012-01-01' top/a
            """)
        try writeArchive(scratch / "a.tar", [file("a/b/c/f")])
        try makeDirectory(scratch / "out", why: "a test")
        let root = try Descriptor.open(scratch / "out", O_RDONLY | O_DIRECTORY)
        let source = FileSource(try Descriptor.open(scratch / "a.tar", O_RDONLY), named: "a")
        var unpacker = try LayerUnpacker(
            into: root, named: "a", lower: [scratch / "top", scratch / "low"])
        try unpacker.unpack(TarReader(source, named: "a"))
        let found = try shell("cd '\(scratch / "out")'; stat -c '%n %a %u %Y' a a/b a/b/c")
        let lines = String(decoding: found, as: UTF8.self).split(separator: "\n")
        let expected = try shell("cd '\(scratch.path)'; stat -c '%a %u %Y' top/a low/a/b")
        let wanted = String(decoding: expected, as: UTF8.self).split(separator: "\n")
        #expect(lines[0] == "a " + wanted[0] && lines[1] == "a/b " + wanted[1])
        #expect(lines[2].hasPrefix("a/b/c 755 0 "))
    }

    /// An archive of one file with these pax records.
    private func writePax(_ records: [(String, String)], content: String = "text") throws {
        var bytes: [UInt8] = []
        for (name, value) in records {
            let rest = name.utf8.count + value.utf8.count + 3
            var length = rest
            while rest + String(length).utf8.count != length {
                length = rest + String(length).utf8.count
            }
            bytes += Array("\(length) \(name)=\(value)\n".utf8)
        }
        let output = try Descriptor.open(
            scratch / "a.tar", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        let sink = FileSink(output, named: "a")
        let writer = TarWriter(sink)
        // A regular file of that content, made a pax header by its type.
        let start = writer.header(entry("pax", .regular(size: bytes.count)), type: "x")
        try sink.write(start)
        try sink.write(bytes)
        try writer.endContent(size: bytes.count)
        try writer.append(entry("f", .regular(size: content.utf8.count)))
        try sink.write(Array(content.utf8))
        try writer.endContent(size: content.utf8.count)
        try writer.finish()
    }
}

extension ByteSink {
    func write(_ bytes: [UInt8]) throws(KernelError) {
        try bytes.withUnsafeBufferPointer { buffer throws(KernelError) in
            try write(UnsafeRawBufferPointer(buffer))
        }
    }
}
