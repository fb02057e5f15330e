import Glibc
import HTTPTypes
import HummingbirdCore
import Kernel
import NIOCore
import NIOHTTP1
import NIOPosix

/// Sends part of a file to a client.
///
/// Without TLS the kernel does it: `sendfile(2)` moves pages from the file to the socket, and the
/// process never sees a byte. With TLS every byte has to be encrypted here.
enum FileSending {
    /// What is handed to the kernel at once, and has to be gone within one period.
    private static let regionSize = 1 << 20
    /// What is read for TLS at once.
    private static let bufferSize = 1 << 18

    /// Sends `range`; the head is on its way already.
    static func send(
        _ blob: OpenBlob, _ range: Range<Int>, to channel: any Channel, within period: TimeAmount
    ) async throws {
        let copy = try blob.file.duplicate()
        let handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: copy.release())
        defer { try? handle.close() }
        var start = range.lowerBound
        while start < range.upperBound {
            let end = min(start + regionSize, range.upperBound)
            try await send(
                FileRegion(fileHandle: handle, readerIndex: start, endIndex: end), to: channel,
                within: period)
            start = end
        }
    }

    /// Sends `range` through memory.
    static func copy(
        _ blob: OpenBlob, _ range: Range<Int>, to writer: inout some ResponseBodyWriter
    ) async throws {
        var start = range.lowerBound
        while start < range.upperBound {
            let piece = start..<min(start + bufferSize, range.upperBound)
            try await writer.write(try await offload { try blob.read(piece) })
            start = piece.upperBound
        }
    }

    private static func send(
        _ region: FileRegion, to channel: any Channel, within period: TimeAmount
    ) async throws {
        let loop = channel.eventLoop
        try await loop.flatSubmit { () -> EventLoopFuture<Void> in
            let sent = loop.makePromise(of: Void.self)
            let deadline = loop.scheduleTask(in: period) { channel.close(promise: nil) }
            sent.futureResult.whenComplete { _ in deadline.cancel() }
            do {
                // Below the encoder: what is above it speaks of parts of messages, not of bytes.
                let encoder = try channel.pipeline.syncOperations.context(
                    handlerType: HTTPResponseEncoder.self)
                encoder.writeAndFlush(NIOAny(IOData.fileRegion(region)), promise: sent)
            } catch {
                sent.fail(error)
            }
            return sent.futureResult
        }.get()
    }
}

extension OpenBlob {
    /// Reads these bytes. See `pread(2)`.
    fileprivate func read(_ range: Range<Int>) throws -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: range.count)
        while buffer.readableBytes < range.count {
            let start = range.lowerBound + buffer.readableBytes
            let count = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 0) { bytes in
                max(
                    pread(
                        file.number, bytes.baseAddress, min(bytes.count, range.upperBound - start),
                        off_t(start)), 0)
            }
            // The file got shorter, or the disk fails: the client will miss the rest.
            if count == 0 { throw KernelError("pread", "a blob", .inputOutput) }
        }
        return buffer
    }
}
