import Glibc
import Kernel

/// Reads a tar archive entry by entry, in bounded memory.
///
/// Understands ustar, POSIX pax and GNU tar's long names, see `tar(5)`. It says what
/// the archive says and checks nothing but the form; what may be done with it is for
/// ``LayerUnpacker`` to judge.
final class TarReader {
    /// More than the names and attributes of any file can come to, and little enough to hold.
    private static let extensionLimit = 1 << 20

    private let source: any ByteSource
    private let name: String
    private let buffer = WorkBuffer()
    /// What is left of the current entry's content, and the zeros that fill up its last block.
    private var contentLeft = 0
    private var padding = 0
    private var global = PaxRecords()

    /// Reads from `source`; errors call the archive `name`.
    init(_ source: any ByteSource, named name: String) {
        self.source = source
        self.name = name
    }

    /// The next entry; nil at the archive's end mark.
    /// - Throws: `EBADMSG` where the archive ends without one, or makes no sense.
    func next() throws(KernelError) -> TarEntry? {
        try skip(contentLeft + padding)
        (contentLeft, padding) = (0, 0)
        var records = global
        while true {
            let header = TarHeader(block: try readBlock(), archive: name)
            if header.isZero { return nil }
            try header.verifyChecksum()
            switch header.type {
            case UInt8(ascii: "x"): try records.add(try readExtension(header), from: name)
            case UInt8(ascii: "g"):
                try global.add(try readExtension(header), from: name)
                records = global
            case UInt8(ascii: "L"): records.setGNU(path: try readLongName(header))
            case UInt8(ascii: "K"): records.setGNU(linkTarget: try readLongName(header))
            case UInt8(ascii: "V"): try skipEntry(header)
            default: return try entry(header, records)
            }
        }
    }

    /// Reads some of the current entry's content; 0 at its end.
    func readContent(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        let wanted = min(contentLeft, buffer.count)
        if wanted == 0 { return 0 }
        let count = try source.read(
            into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]))
        if count == 0 { throw endsTooEarly }
        contentLeft -= count
        return count
    }

    private func entry(_ header: TarHeader, _ records: PaxRecords) throws(KernelError) -> TarEntry {
        if records.isSparse || header.type == UInt8(ascii: "S") {
            throw corrupt(name, "It holds a sparse file; make it again without --sparse.")
        }
        let path = records.path ?? header.path
        let kind = try kind(header, records, path)
        if case .regular(let size) = kind {
            contentLeft = size
            padding = TarReader.padding(after: size)
        }
        var entry = TarEntry(
            path: path, kind: kind, mode: UInt32(try header.mode() & 0o7777),
            owner: try identity(try header.owner(), unless: records.owner),
            group: try identity(try header.group(), unless: records.group),
            modified: TarTime(seconds: try header.modified()), attributes: records.attributes)
        if let modified = records.modified { entry.modified = modified }
        return entry
    }

    private func kind(
        _ header: TarHeader, _ records: PaxRecords, _ path: FileName
    ) throws(KernelError) -> TarEntry.Kind {
        let target = records.linkTarget ?? header.linkTarget
        switch header.type {
        case UInt8(ascii: "0"), 0, UInt8(ascii: "7"):
            // Before there was a type for directories, a slash at the end said it.
            if path.last == UInt8(ascii: "/") { return .directory }
            return .regular(size: try contentSize(try header.size(), unless: records.size))
        // Only regular files have content; some programs give others a size all the same.
        case UInt8(ascii: "1"): return .hardLink(target: target)
        case UInt8(ascii: "2"): return .symbolicLink(target: target)
        case UInt8(ascii: "3"):
            return .characterDevice(
                major: try identity(try header.major()), minor: try identity(try header.minor()))
        case UInt8(ascii: "4"):
            return .blockDevice(
                major: try identity(try header.major()), minor: try identity(try header.minor()))
        case UInt8(ascii: "5"): return .directory
        case UInt8(ascii: "6"): return .fifo
        case let type:
            let letter = FileName([type]).shown
            throw corrupt(name, "\(path.shown) is of type '\(letter)', which is not supported.")
        }
    }

    /// All ones stands for "leave it" in chown(2), so it is no user.
    private func identity(
        _ number: Int, unless better: Int? = nil
    ) throws(KernelError) -> UInt32 {
        guard let number = UInt32(exactly: better ?? number), number != .max else {
            throw corrupt(name, "An entry has an absurd owner or device number.")
        }
        return number
    }

    private func contentSize(_ size: Int, unless better: Int? = nil) throws(KernelError) -> Int {
        let size = better ?? size
        guard (0..<(1 << 60)).contains(size) else {
            throw corrupt(name, "An entry has an absurd size.")
        }
        return size
    }

    private static func padding(after size: Int) -> Int {
        (TarHeader.size - size % TarHeader.size) % TarHeader.size
    }

    // Reading whole pieces

    private var endsTooEarly: KernelError {
        corrupt(name, "The archive ends too early: a part of it is missing.")
    }

    private func readBlock() throws(KernelError) -> [UInt8] { try readBytes(TarHeader.size) }

    private func readBytes(_ count: Int) throws(KernelError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            let wanted = min(count - bytes.count, WorkBuffer.size)
            let piece = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<wanted])
            let got = try source.read(into: piece)
            if got == 0 { throw endsTooEarly }
            bytes += piece[..<got]
        }
        return bytes
    }

    private func skip(_ count: Int) throws(KernelError) {
        var left = count
        while left > 0 {
            let piece = UnsafeMutableRawBufferPointer(
                rebasing: buffer.bytes[..<min(left, WorkBuffer.size)])
            let got = try source.read(into: piece)
            if got == 0 { throw endsTooEarly }
            left -= got
        }
    }

    private func skipEntry(_ header: TarHeader) throws(KernelError) {
        let size = try contentSize(try header.size())
        try skip(size + TarReader.padding(after: size))
    }

    private func readExtension(_ header: TarHeader) throws(KernelError) -> [UInt8] {
        let size = try header.size()
        guard (0...TarReader.extensionLimit).contains(size) else {
            throw corrupt(name, "An extended header has an absurd size.")
        }
        let bytes = try readBytes(size)
        try skip(TarReader.padding(after: size))
        return bytes
    }

    private func readLongName(_ header: TarHeader) throws(KernelError) -> FileName {
        Array(try readExtension(header).prefix { $0 != 0 })
    }
}
