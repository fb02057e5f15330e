import Kernel

/// Packs what is written to it and passes that on.
public protocol PackingSink: ByteSink {
    /// Writes what is still held back. Nothing may be written afterwards.
    func finish() throws(KernelError)
}

/// The archive in `source`, whether it is packed or not: by its first bytes, whatever its name
/// or a manifest says.
///
/// - Parameters:
///   - limits: how large it may become; nil for what the environment says.
///   - gzip: unpacks gzip; a program that is not static may have something faster than zlib.
/// - Throws: `EBADMSG` where another program packed it, which is then named; when it is read,
///   `EFBIG` where it becomes too large.
public func unpacked(
    _ source: any ByteSource, named name: String, limits: UnpackLimits? = nil,
    gzip: (any ByteSource, String) -> any ByteSource = { GzipSource($0, named: $1) }
) throws(KernelError) -> any ByteSource {
    let source = try PeekedSource(source, count: 6)
    let usual = try UnpackLimits.environment()
    let plain = try unpacked(source, named: name, gzip)
    return LimitedSource(plain, named: name, limits ?? usual)
}

private func unpacked(
    _ source: PeekedSource, named name: String,
    _ gzip: (any ByteSource, String) -> any ByteSource
) throws(KernelError) -> any ByteSource {
    if source.head.starts(with: [0x1F, 0x8B]) { return gzip(source, name) }
    if isZstd(source.head) { return ZstdSource(source, named: name) }
    let others: [(magic: [UInt8], program: String)] = [
        ([0xFD, 0x37, 0x7A, 0x58, 0x5A], "xz"), ([0x42, 0x5A, 0x68], "bzip2"),
    ]
    for other in others where source.head.starts(with: other.magic) {
        throw corrupt(
            name, "It is packed by \(other.program); unpack it with `\(other.program) -d`.")
    }
    return source
}

/// A frame, or one of those to be skipped, which have sixteen numbers.
private func isZstd(_ head: [UInt8]) -> Bool {
    let isSkipped = head.first.map { $0 & 0xF0 == 0x50 } ?? false
    return head.starts(with: [0x28, 0xB5, 0x2F, 0xFD])
        || isSkipped && head.dropFirst().starts(with: [0x2A, 0x4D, 0x18])
}
