import Foundation
import Kernel
import OCISpec
import Testing

@testable import Images

/// Archives made to do harm. `out` is where they are unpacked; `outside`, beside it,
/// must look the same afterwards.
@Suite struct HostileArchiveTests {
    let scratch: TemporaryDirectory
    let before: Data

    init() throws {
        scratch = try TemporaryDirectory()
        try shell(
            "cd '\(scratch.path)'; mkdir outside; echo safe > outside/file; ln -s f outside/l")
        before = try listing(scratch / "outside")
    }

    private func attack(_ entries: [TarEntry]) throws -> KernelError? {
        try writeArchive(scratch / "a.tar", entries)
        var refusal: KernelError?
        do throws(KernelError) { try unpack(scratch / "a.tar", into: scratch / "out") } catch {
            refusal = error
        }
        #expect(try listing(scratch / "outside") == before)
        #expect(try namesInDirectory(scratch.path) == ["a.tar", "out", "outside"])
        return refusal
    }

    private func link(_ path: String, _ target: String) -> TarEntry {
        entry(path, .symbolicLink(target: Array(target.utf8)))
    }

    private func hard(_ path: String, _ target: String) -> TarEntry {
        entry(path, .hardLink(target: Array(target.utf8)))
    }

    @Test(arguments: ["../outside/file", "a/../../outside/file", "..", "a/..", "./../x", "/../x"])
    func `A name with two dots is refused`(_ name: String) throws {
        let error = try #require(try attack([file(name)]))
        #expect(error.errno.rawValue == EXDEV && error.object.contains("a.tar"))
    }

    @Test func `An absolute name stays below the target`() throws {
        #expect(try attack([file(scratch / "outside/file"), file("//etc///x")]) == nil)
        #expect(fileType(scratch / "out" + (scratch / "outside/file")) == .regular)
        #expect(fileType(scratch / "out/etc/x") == .regular)
    }

    @Test(arguments: ["../outside", "/", "dir", ".."])
    func `Nothing is written through a symbolic link`(_ target: String) throws {
        let entries = [entry("dir", .directory), link("way", target), file("way/file")]
        #expect(try attack(entries)?.errno.rawValue == ELOOP)
    }

    @Test func `A file replaces a symbolic link instead of being written through it`() throws {
        #expect(try attack([link("x", "../outside/file"), file("x")]) == nil)
        let absolute = link("y", scratch / "outside/file")
        try removeTree(scratch / "out")
        #expect(try attack([absolute, file("y")]) == nil)
    }

    @Test func `A directory does not take over a symbolic link's target`() throws {
        #expect(try attack([link("x", "../outside"), entry("x", .directory), file("x/f")]) == nil)
    }

    @Test(arguments: ["../outside/file", "/../outside/file", "way/file"])
    func `No hard link leads outside`(_ target: String) throws {
        let error = try attack([link("way", "../outside"), hard("h", target), file("h")])
        #expect(error != nil)
    }

    @Test func `A hard link to a symbolic link is one to the link`() throws {
        #expect(try attack([link("x", "../outside/file"), hard("h", "x"), file("h")]) == nil)
    }

    @Test(arguments: ["h", "./h", "", ".", "missing", "dir"])
    func `A hard link to nothing useful is refused`(_ target: String) throws {
        #expect(try attack([entry("dir", .directory), hard("h", target)]) != nil)
    }

    @Test(arguments: ["d/.wh...", "d/.wh..", "d/.wh."])
    func `A mark cannot hide the directory above`(_ name: String) throws {
        #expect(try attack([file(name)])?.errno.rawValue == EXDEV)
    }

    @Test func `An attribute of overlayfs itself is not taken over`() throws {
        var directory = entry("d", .directory)
        directory.attributes = [
            ExtendedAttribute(
                name: Array("trusted.overlay.redirect".utf8), value: Array("/etc".utf8)),
            ExtendedAttribute(name: Array("user.fine".utf8), value: [1]),
        ]
        #expect(try attack([directory]) == nil)
        let found = try shell(
            "getfattr -m - '\(scratch / "out/d")' | grep -c . ; getfattr -m - '\(scratch / "out/d")'"
        )
        #expect(!String(decoding: found, as: UTF8.self).contains("overlay"))
        #expect(String(decoding: found, as: UTF8.self).contains("user.fine"))
    }

    @Test func `Names too long or too deep are refused`() throws {
        let long = String(repeating: "n", count: 300)
        #expect(try attack([file(long)])?.errno.rawValue == ENAMETOOLONG)
        try removeTree(scratch / "out")
        let deep = String(repeating: "d/", count: 5_000) + "f"
        #expect(try attack([file(deep)])?.errno.rawValue == ENAMETOOLONG)
    }

    @Test func `A file as the root is refused`() throws {
        #expect(try attack([file("/")]) == nil || fileType(scratch / "out") == .directory)
        try removeTree(scratch / "out")
        #expect(try attack([link("/", "/etc")]) != nil)
    }

    @Test func `Owners and sizes beyond all measure are refused`() throws {
        var owner = file("f")
        owner.owner = .max
        #expect(try attack([owner])?.errno.rawValue == EBADMSG)
    }

    @Test func `An archive that says it holds an exabyte is refused`() throws {
        try writeArchive(scratch / "a.tar", [file("f")])
        for size in ["77777777777", "\u{80}\u{7F}", "-0000000001", "99999999999"] {
            var bytes = try readFile(scratch / "a.tar")
            bytes.replaceSubrange(124..<136, with: repeatElement(0, count: 12))
            let field = size.unicodeScalars.map { UInt8($0.value) }
            bytes.replaceSubrange(124..<(124 + field.count), with: field)
            fixChecksum(&bytes)
            try replaceFile(scratch / "a.tar", with: bytes)
            let error = #expect(throws: KernelError.self) {
                try unpack(scratch / "a.tar", into: scratch / "out")
            }
            #expect(error?.errno.rawValue == EBADMSG)
            try removeTree(scratch / "out")
        }
    }

    @Test func `An archive cut off anywhere is refused`() throws {
        try writeArchive(scratch / "a.tar", [entry("d", .directory), file("d/f"), link("l", "x")])
        let whole = try readFile(scratch / "a.tar")
        for length in stride(from: 0, to: whole.count - 1024, by: 100) {
            try replaceFile(scratch / "cut", with: whole.prefix(length), durable: false)
            let error = #expect(throws: KernelError.self, "\(length)") {
                try unpack(scratch / "cut", into: scratch / "out")
            }
            #expect(error?.errno.rawValue == EBADMSG && error?.remedy.isEmpty == false)
            try removeTree(scratch / "out")
        }
    }

    @Test func `Damaged gzip is refused`() throws {
        try shell(
            "cd '\(scratch.path)'; mkdir t; head -c 50000 /dev/urandom > t/f; tar czf a.gz -C t .")
        let whole = try readFile(scratch / "a.gz")
        var damaged: [[UInt8]] = [Array(whole.prefix(whole.count / 2)), Array(whole.dropLast(3))]
        var flipped = whole
        flipped[whole.count - 6] ^= 1
        damaged.append(flipped)
        damaged.append(whole + [1, 2, 3])
        for bytes in damaged {
            try replaceFile(scratch / "bad.gz", with: bytes, durable: false)
            let importer = ImageImporter(stateRoot: scratch / "root")
            let error = #expect(throws: KernelError.self) {
                try importer.import(from: .archive(scratch / "bad.gz"), as: try .parse("bad"))
            }
            #expect(error?.errno.rawValue == EBADMSG)
            #expect(try ContentStore(stateRoot: scratch / "root").index().manifests.isEmpty)
            #expect(try namesInDirectory(scratch / "root/images/blobs/sha256").isEmpty)
            #expect(try namesInDirectory(scratch / "root/images/ingest") == ["lock"])
        }
    }

    @Test func `Damaged zstd is refused`() throws {
        try shell(
            """
            cd '\(scratch.path)'; mkdir t; head -c 50000 /dev/urandom > t/f; tar cf a.tar -C t .
            zstd -q a.tar; zstd -q --ultra -22 --long=27 < a.tar > window.zst
            """)
        let whole = try readFile(scratch / "a.tar.zst")
        var damaged = [Array(whole.prefix(whole.count / 2)), Array(whole.dropLast(3))]
        var flipped = whole
        flipped[whole.count - 2] ^= 1
        damaged += [flipped, whole + [1, 2, 3, 4, 5]]
        damaged.append(try readFile(scratch / "window.zst"))
        for bytes in damaged {
            try replaceFile(scratch / "bad.zst", with: bytes, durable: false)
            let error = #expect(throws: KernelError.self) {
                let file = FileSource(
                    try Descriptor.open(scratch / "bad.zst", O_RDONLY), named: "bad.zst")
                try unpacked(file, named: "bad.zst").drain()
            }
            #expect(error?.errno.rawValue == EBADMSG)
        }
    }

    @Test func `A thousand damaged archives do no harm`() throws {
        try writeArchive(
            scratch / "seed",
            [
                entry("d", .directory), file("d/f"), link("l", "../outside"), hard("h", "d/f"),
                file(String(repeating: "p/", count: 80) + "f"), file("l2/file"),
            ])
        let seed = try readFile(scratch / "seed")
        for _ in 0..<1_000 {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...6) {
                let header = Int.random(in: 0..<(bytes.count / 512)) * 512
                bytes[header + .random(in: 0..<512)] = .random(in: 0...255)
            }
            if Bool.random() { fixChecksum(&bytes) }
            try replaceFile(scratch / "fuzz", with: bytes, durable: false)
            try? unpack(scratch / "fuzz", into: scratch / "out")
            try removeTree(scratch / "out")
        }
        #expect(try listing(scratch / "outside") == before)
    }

    /// So that the damage is found by more than the check sum.
    private func fixChecksum(_ bytes: inout [UInt8]) {
        for start in stride(from: 0, to: bytes.count - 511, by: 512)
        where bytes[(start + 257)..<(start + 262)].elementsEqual("ustar".utf8) {
            bytes.replaceSubrange((start + 148)..<(start + 156), with: repeatElement(32, count: 8))
            let sum = bytes[start..<(start + 512)].reduce(0) { $0 + Int($1) }
            let digits = String(sum, radix: 8)
            let text = String(repeating: "0", count: 6 - digits.count) + digits + "\u{0} "
            bytes.replaceSubrange((start + 148)..<(start + 156), with: text.utf8)
        }
    }
}
