import Foundation
import Kernel
import OCISpec
import Testing

@testable import Images

/// How many made-up archives a run of the tests tries. `HULL_FUZZ` tries as many as it says.
enum Fuzzing {
    static let read = 10_000
    static let unpacked = 2_000

    static var wanted: Int? { ProcessInfo.processInfo.environment["HULL_FUZZ"].flatMap { Int($0) } }
    /// So that a failure can be had again: `HULL_FUZZ_SEED`.
    static let seed =
        ProcessInfo.processInfo.environment["HULL_FUZZ_SEED"].flatMap { UInt64($0) }
        ?? UInt64.random(in: 0..<(1 << 32))
}

/// What the README says of it.
@Suite struct FuzzingCountTests {
    @Test func `The README tells how many inputs are tried`() throws {
        let readme = try String(
            contentsOfFile: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("../../README.md").path, encoding: .utf8)
        let counts = [
            ("archives made up to do harm, read", Fuzzing.read),
            ("archives made up to do harm, unpacked as root", Fuzzing.unpacked),
            ("names and digests that are none", 5 * RandomDocumentTests.inputs),
        ]
        for (what, count) in counts {
            let text = "\(count / 1000),\(String(count % 1000 + 1000).dropFirst())"
            #expect(readme.contains("\(what) | \(text) |"))
        }
    }
}

/// Archives that nobody would write: each is refused or unpacked, and does no harm.
@Suite struct ArchiveFuzzTests {
    @Test func `Any archive is read to its end or refused`() throws {
        for number in 0..<(Fuzzing.wanted ?? Fuzzing.read) {
            var generator = ArchiveGenerator(seed: Fuzzing.seed &+ UInt64(number))
            let bytes = generator.packedArchive()
            do throws(KernelError) {
                let plain = try unpacked(MemorySource(bytes), named: "fuzz", limits: Self.limits)
                let reader = TarReader(plain, named: "fuzz")
                while let entry = try reader.next() {
                    guard case .regular(let size) = entry.kind else { continue }
                    var end = 0
                    while let piece = try reader.nextPiece() {
                        #expect(piece.offset >= end && !piece.bytes.isEmpty)
                        end = piece.offset + piece.bytes.count
                    }
                    #expect(end <= size)
                }
            } catch {
                #expect(
                    [EBADMSG, EFBIG].contains(error.errno.rawValue) && !error.remedy.isEmpty,
                    "\(error), seed \(Fuzzing.seed) + \(number)")
            }
        }
    }

    @Test func `Nothing of any archive is written outside`() throws {
        let scratch = try TemporaryDirectory()
        try shell(
            "cd '\(scratch.path)'; mkdir outside; echo safe > outside/file; ln -s f outside/l")
        let before = try listing(scratch / "outside")
        let count = Fuzzing.wanted.map { $0 / 10 } ?? Fuzzing.unpacked
        for number in 0..<count {
            var generator = ArchiveGenerator(seed: Fuzzing.seed &+ UInt64(number) << 32)
            let bytes = generator.archive()
            try makeDirectory(scratch / "out", why: "a test")
            try makeDirectory(scratch / "out/below", why: "a test")
            let root = try Descriptor.open(scratch / "out/below", O_RDONLY | O_DIRECTORY)
            do throws(KernelError) {
                var unpacker = try LayerUnpacker(
                    into: root, named: "fuzz", holdsLower: number % 2 == 0, limits: Self.limits)
                try unpacker.unpack(TarReader(MemorySource(bytes), named: "fuzz"))
            } catch {
                #expect(error.description.contains("fuzz"), "\(error)")
            }
            #expect(try namesInDirectory(scratch / "out") == ["below"])
            try removeTree(scratch / "out")
        }
        #expect(try listing(scratch / "outside") == before)
        #expect(try namesInDirectory(scratch.path) == ["outside"])
    }

    private static var limits: UnpackLimits {
        var limits = UnpackLimits()
        limits.size = 4 << 20
        limits.entries = 1000
        return limits
    }
}

/// Bytes in memory as a source, in pieces of odd sizes.
final class MemorySource: ByteSource {
    private let bytes: [UInt8]
    private var given = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        let piece = bytes[given...].prefix(min(buffer.count, 3_001))
        buffer.copyBytes(from: piece)
        given += piece.count
        return piece.count
    }
}

/// Makes archives out of what real ones consist of, and then damages them.
struct ArchiveGenerator {
    private var random: SplitMix

    init(seed: UInt64) { random = SplitMix(state: seed) }

    /// Packed in one of the ways that are known, or not; and damaged once more.
    mutating func packedArchive() -> [UInt8] {
        let plain = archive()
        let sink = MemorySink()
        switch Int.random(in: 0..<8, using: &random) {
        case 0:
            let gzip = GzipSink(sink)
            try? gzip.write(plain)
            try? gzip.finish()
        case 1:
            let zstd = ZstdSink(sink, level: 1)
            try? zstd.write(plain)
            try? zstd.finish()
        case 2: return (0..<Int.random(in: 0...2_000, using: &random)).map { _ in byte() }
        default: return plain
        }
        var bytes = sink.bytes
        if Bool.random(using: &random) { damage(&bytes) }
        return bytes
    }

    mutating func archive() -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 0...6, using: &random) { bytes += entry() }
        bytes += [UInt8](repeating: 0, count: 1024)
        if Int.random(in: 0..<3, using: &random) == 0 { damage(&bytes) }
        return bytes
    }

    private mutating func entry() -> [UInt8] {
        let types = Array("0000000555221134567xxxgLKSV".unicodeScalars)
        let type = types[Int.random(in: 0..<types.count, using: &random)]
        var content = [UInt8](repeating: 120, count: Int.random(in: 0...3, using: &random) * 300)
        var size = content.count
        switch type {
        case "x", "g": content = records()
        case "L", "K": content = Array(name().utf8) + [0]
        case "0", "7", "S", "V": break
        default: content = []
        }
        size = Int.random(in: 0..<12, using: &random) == 0 ? number() : content.count
        var header = [UInt8](repeating: 0, count: 512)
        put(Array(name().utf8.prefix(100)), at: 0, &header)
        for (start, digits) in [(100, 7), (108, 7), (116, 7), (136, 11), (329, 7), (337, 7)] {
            let value = Int.random(in: 0..<9, using: &random) == 0 ? number() : 0o644
            put(octal(value, digits), at: start, &header)
        }
        put(octal(size, 11), at: 124, &header)
        header[156] = UInt8(ascii: type)
        put(Array(name().utf8.prefix(100)), at: 157, &header)
        put(Array("ustar\0".utf8) + [48, 48], at: 257, &header)
        if type == "S" { putSparse(&header, content.count) }
        if Int.random(in: 0..<9, using: &random) == 0 {
            header[Int.random(in: 0..<512, using: &random)] = byte()
        }
        fixChecksum(&header)
        let padding = (512 - content.count % 512) % 512
        return header + content + [UInt8](repeating: 0, count: padding)
    }

    private mutating func putSparse(_ header: inout [UInt8], _ size: Int) {
        for part in 0..<Int.random(in: 0...4, using: &random) {
            put(octal(number(), 11), at: 386 + 24 * part, &header)
            put(
                octal(Bool.random(using: &random) ? size : number(), 11), at: 398 + 24 * part,
                &header)
        }
        header[482] = Int.random(in: 0..<4, using: &random) == 0 ? 1 : 0
        put(octal(number(), 11), at: 483, &header)
    }

    private mutating func records() -> [UInt8] {
        let keys = [
            "path", "linkpath", "size", "uid", "gid", "mtime", "SCHILY.xattr.user.x",
            "SCHILY.xattr.", "SCHILY.xattr.trusted.overlay.redirect", "LIBARCHIVE.xattr.user.%41",
            "SCHILY.acl.access", "SCHILY.acl.default", "GNU.sparse.map", "GNU.sparse.size",
            "GNU.sparse.realsize", "GNU.sparse.major", "GNU.sparse.offset", "GNU.sparse.numbytes",
            "GNU.sparse.name", "comment", "",
        ]
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 0...4, using: &random) {
            let key = keys[Int.random(in: 0..<keys.count, using: &random)]
            let values = [
                name(), String(number()), "-1.5", "\(number()).999999999999", "0,\(number())", "1",
                "", "user::rwx,group::r-x,other::---", "u:1:rwx,m::r", "eHh4",
            ]
            let value = values[Int.random(in: 0..<values.count, using: &random)]
            var length = key.utf8.count + value.utf8.count + 4
            if length > 9 { length += 1 }
            if length > 99 { length += 1 }
            if Int.random(in: 0..<15, using: &random) == 0 { length = number() }
            bytes += Array("\(length) \(key)=\(value)\n".utf8)
        }
        return bytes
    }

    private mutating func name() -> String {
        let parts = [
            "a", "b", "d", "link", "..", ".", "", "file", "outside", ".wh.a", ".wh.d", ".wh.",
            ".wh...", ".wh..wh..opq", ".wh..wh.plnk", "ü\n\u{1B}[2J",
            String(repeating: "n", count: 260),
        ]
        let count = Int.random(in: 1...4, using: &random)
        let chosen = (0..<count).map { _ in parts[Int.random(in: 0..<parts.count, using: &random)] }
        let start = ["", "", "", "/", "../"][Int.random(in: 0..<5, using: &random)]
        return start + chosen.joined(separator: "/")
    }

    private mutating func number() -> Int {
        let numbers = [
            0, 1, 5, 511, 512, 513, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 33, 1 << 59, Int.max,
        ]
        return numbers[Int.random(in: 0..<numbers.count, using: &random)]
    }

    private mutating func byte() -> UInt8 { UInt8.random(in: 0...255, using: &random) }

    /// Bytes changed, left out, doubled, or the end cut off.
    private mutating func damage(_ bytes: inout [UInt8]) {
        for _ in 0..<Int.random(in: 1...4, using: &random) where bytes.count > 1 {
            let start = Int.random(in: 0..<bytes.count, using: &random)
            let end = min(bytes.count, start + Int.random(in: 1...600, using: &random))
            switch Int.random(in: 0..<5, using: &random) {
            case 0, 1: bytes[start] = byte()
            case 2: bytes.removeSubrange(start..<end)
            case 3: bytes.insert(contentsOf: Array(bytes[start..<end]), at: start)
            default: bytes.removeSubrange(start...)
            }
        }
    }

    private func put(_ text: [UInt8], at start: Int, _ header: inout [UInt8]) {
        for (index, byte) in text.enumerated() where start + index < 512 {
            header[start + index] = byte
        }
    }

    /// Octal where it fits, and GNU's binary form where it does not.
    private func octal(_ number: Int, _ digits: Int) -> [UInt8] {
        let text = String(number, radix: 8)
        if text.utf8.count <= digits {
            return Array((String(repeating: "0", count: digits - text.utf8.count) + text).utf8)
        }
        let bytes = (0..<8).reversed().map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
        let room = digits + 1
        return [0x80]
            + (room > 8
                ? [UInt8](repeating: 0, count: room - 9) + bytes : Array(bytes.suffix(room - 1)))
    }

    private func fixChecksum(_ header: inout [UInt8]) {
        for index in 148..<156 { header[index] = 32 }
        put(octal(header.reduce(0) { $0 + Int($1) }, 6), at: 148, &header)
    }
}

/// The same numbers for the same seed. See Steele, Lea and Flood, "Fast Splittable Pseudorandom
/// Number Generators".
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
