import FastGzip
import Foundation
import Images
import Kernel
import Testing

/// isa-l against zlib: the same bytes, and the same refusals.
@Suite struct FastGzipTests {
    @Test func `Both unpack the same, however it was packed`() throws {
        for level in [1, 6, 9] {
            let plain = randomText()
            let members = try pack(Array(plain.prefix(70_000)), level) + pack([], level)
            let whole = try members + pack(Array(plain.dropFirst(70_000)), level) + [0, 0, 0]
            #expect(try unpack(FastGzipSource(Memory(whole), named: "x")) == plain)
            #expect(try unpack(GzipSource(Memory(whole), named: "x")) == plain)
        }
    }

    @Test func `What one refuses the other refuses`() throws {
        let whole = try pack(randomText(), 6)
        for _ in 0..<300 {
            var bytes = whole
            let place = Int.random(in: 0..<bytes.count)
            switch Int.random(in: 0..<3) {
            case 0: bytes = Array(bytes.prefix(place))
            // The head holds a time and a system, which nobody checks.
            case 1 where place >= 10: bytes[place] ^= UInt8.random(in: 1...255)
            default: bytes += [1, 2, 3]
            }
            let ours = outcome { try unpack(FastGzipSource(Memory(bytes), named: "x")) }
            let theirs = outcome { try unpack(GzipSource(Memory(bytes), named: "x")) }
            #expect(ours == theirs)
        }
    }

    private func outcome(_ work: () throws -> [UInt8]) -> [UInt8]? {
        do { return try work() } catch {
            #expect((error as? KernelError)?.errno.rawValue == EBADMSG)
            return nil
        }
    }

    private func randomText() -> [UInt8] {
        let words = (0..<200).map { _ in
            (0..<Int.random(in: 1...12)).map { _ in UInt8.random(in: 97...122) } + [32]
        }
        return (0..<60_000).flatMap { _ in words.randomElement() ?? [] }
    }

    private func pack(_ bytes: [UInt8], _ level: Int) throws -> [UInt8] {
        let sink = Collected()
        let gzip = GzipSink(sink, level: CInt(level))
        try bytes.withUnsafeBytes { try gzip.write($0) }
        try gzip.finish()
        return sink.bytes
    }

    private func unpack(_ source: any ByteSource) throws -> [UInt8] {
        var bytes: [UInt8] = []
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 10_000, alignment: 1)
        defer { room.deallocate() }
        while true {
            let count = try source.read(into: room)
            if count == 0 { return bytes }
            bytes += room[..<count]
        }
    }
}

private final class Memory: ByteSource {
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

private final class Collected: ByteSink {
    var bytes: [UInt8] = []
    func write(_ bytes: UnsafeRawBufferPointer) throws(KernelError) { self.bytes += bytes }
}
