import CZstd
import Glibc
import Kernel

/// As far back as a frame may refer: 32 MiB, which the unpacker has to keep in memory.
///
/// That is what `zstd` up to level 20 makes; 8 MiB is the most that RFC 8878 asks of a reader.
private let largestWindow: CInt = 25

/// Unpacks zstd as it is read. See RFC 8878.
///
/// Several frames after each other are one file. Frames to be skipped are, which hold other
/// programs' tables of contents.
final class ZstdSource: ByteSource {
    private let source: any ByteSource
    private let name: String
    private let input = WorkBuffer()
    private let context: OpaquePointer?
    private var given = ZSTD_inBuffer()
    private var isBetweenFrames = true

    init(_ source: any ByteSource, named name: String) {
        self.source = source
        self.name = name
        context = ZSTD_createDCtx()
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, largestWindow)
    }

    deinit { ZSTD_freeDCtx(context) }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        var taken = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
        while taken.pos == 0 && buffer.count > 0 {
            // Without new input there may still be output that did not fit before.
            let hasInput = try refill()
            if !hasInput && isBetweenFrames { return 0 }
            let result = ZSTD_decompressStream(context, &taken, &given)
            if ZSTD_isError(result) != 0 { throw failure(result) }
            isBetweenFrames = result == 0
            if !hasInput && taken.pos == 0 && !isBetweenFrames {
                throw corrupt(name, "The compressed data end too early.")
            }
        }
        return taken.pos
    }

    /// - Returns: whether there is any input.
    private func refill() throws(KernelError) -> Bool {
        guard given.pos == given.size else { return true }
        let count = try source.read(into: input.bytes)
        given = ZSTD_inBuffer(src: input.bytes.baseAddress, size: count, pos: 0)
        return count > 0
    }

    private func failure(_ code: Int) -> KernelError {
        switch ZSTD_getErrorCode(code) {
        case ZSTD_error_memory_allocation:
            KernelError("unpack", name, Errno(rawValue: ENOMEM))
        case ZSTD_error_frameParameter_windowTooLarge:
            corrupt(name, "Its zstd window is over 32 MiB; pack it again with `zstd --long=25`.")
        default: corrupt(name, "The compressed data are damaged.")
        }
    }
}

/// Packs what is written to it as one frame of zstd. The same bytes always give the same blob.
public final class ZstdSink: PackingSink {
    private let sink: any ByteSink
    private let output = WorkBuffer()
    private let context: OpaquePointer?

    /// `level` 3 is zstd's own choice: as small as gzip's best, at several times the speed.
    public init(_ sink: any ByteSink, level: CInt = 3) {
        self.sink = sink
        context = ZSTD_createCCtx()
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    }

    deinit { ZSTD_freeCCtx(context) }

    /// Packs all of `bytes`, and holds some of it back.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(KernelError) {
        var given = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
        while given.pos < given.size { _ = try pack(&given, ZSTD_e_continue) }
    }

    /// Writes what is still held back, and the check sum.
    public func finish() throws(KernelError) {
        var nothing = ZSTD_inBuffer()
        while try pack(&nothing, ZSTD_e_end) > 0 {}
    }

    /// - Returns: how many bytes are still held back, as far as zstd knows.
    private func pack(
        _ given: inout ZSTD_inBuffer, _ directive: ZSTD_EndDirective
    ) throws(KernelError) -> Int {
        var packed = ZSTD_outBuffer(dst: output.bytes.baseAddress, size: WorkBuffer.size, pos: 0)
        let left = ZSTD_compressStream2(context, &packed, &given, directive)
        if ZSTD_isError(left) != 0 { throw KernelError("pack", "zstd", Errno(rawValue: ENOMEM)) }
        try sink.write(UnsafeRawBufferPointer(rebasing: output.bytes[..<packed.pos]))
        return left
    }
}
