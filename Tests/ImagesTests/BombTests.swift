import Foundation
import Kernel
import OCISpec
import Testing

@testable import Images

/// Small archives that become large.
@Suite struct BombTests {
    let scratch: TemporaryDirectory

    init() throws { scratch = try TemporaryDirectory() }

    @Test(arguments: ["gzip -9", "zstd -q -19"])
    func `What becomes larger than the limit is refused, and says how to raise it`(
        _ program: String
    ) throws {
        try shell(
            """
            cd '\(scratch.path)'; truncate -s 64M zeros; tar cf - --hole-detection=raw zeros \
                | \(program) > bomb
            test $(stat -c %s bomb) -lt 100000
            """)
        var limits = UnpackLimits()
        limits.size = 10 << 20
        let error = #expect(throws: KernelError.self) {
            try unpackBomb(limits)
        }
        #expect(error?.errno.rawValue == EFBIG)
        #expect(error?.remedy.contains("HULL_UNPACK_LIMIT") == true)
        let written = try shell("du -sk '\(scratch / "out")' | cut -f1")
        #expect(Int(String(decoding: written, as: UTF8.self).dropLast()) ?? .max < 11 << 10)
    }

    @Test func `What follows the end mark counts too`() throws {
        try shell("cd '\(scratch.path)'; head -c 20000000 /dev/zero | gzip > bomb")
        var limits = UnpackLimits()
        limits.size = 10 << 20
        let file = FileSource(try Descriptor.open(scratch / "bomb", O_RDONLY), named: "bomb")
        let plain = try unpacked(file, named: "bomb", limits: limits)
        let error = #expect(throws: KernelError.self) { try plain.drain() }
        #expect(error?.errno.rawValue == EFBIG)
    }

    @Test func `More files than the limit are refused`() throws {
        try writeArchive(scratch / "bomb", (0..<101).map { file("f\($0)") })
        var limits = UnpackLimits()
        limits.entries = 100
        let error = #expect(throws: KernelError.self) { try unpackBomb(limits) }
        #expect(error?.errno.rawValue == EFBIG)
        #expect(error?.remedy.contains("HULL_UNPACK_FILES") == true)
    }

    private func unpackBomb(_ limits: UnpackLimits) throws {
        try makeDirectory(scratch / "out", why: "a test")
        let root = try Descriptor.open(scratch / "out", O_RDONLY | O_DIRECTORY)
        let file = FileSource(try Descriptor.open(scratch / "bomb", O_RDONLY), named: "bomb")
        var unpacker = try LayerUnpacker(into: root, named: "bomb", limits: limits)
        try unpacker.unpack(
            TarReader(try unpacked(file, named: "bomb", limits: limits), named: "bomb"))
    }
}
