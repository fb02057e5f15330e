import Kernel

/// Reads a source in large pieces and hands them out in small ones, without copying.
final class InputBuffer {
    private let source: any ByteSource
    private let buffer = WorkBuffer()
    private var start = 0
    private var end = 0

    init(_ source: any ByteSource) { self.source = source }

    /// The next bytes: at least one and at most `limit`, none at the end.
    ///
    /// They stay where they are until the next call.
    func next(atMost limit: Int) throws(KernelError) -> UnsafeRawBufferPointer {
        if start == end {
            start = 0
            end = try source.read(into: buffer.bytes)
        }
        let stop = min(end, start + min(limit, WorkBuffer.size))
        defer { start = stop }
        return UnsafeRawBufferPointer(rebasing: buffer.bytes[start..<stop])
    }
}
