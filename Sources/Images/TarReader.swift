import Glibc
import Kernel

/// Reads a tar archive entry by entry, in bounded memory.
///
/// Understands ustar, POSIX pax, GNU tar's long names and its four forms of sparse files, see
/// `tar(5)`. It says what the archive says and checks nothing but the form; what may be done
/// with it is for ``LayerUnpacker`` to judge.
final class TarReader {
    /// More than the names and attributes of any file can come to, and little enough to hold.
    private static let extensionLimit = 1 << 20

    private let source: InputBuffer
    private let name: String
    /// What is left of the current entry's content, and the zeros that fill up its last block.
    private var contentLeft = 0
    private var padding = 0
    /// Where the content is to be put; how many parts are done, and how much of the next one.
    private var extents: [SparseMap.Extent] = []
    private var extentsDone = 0
    private var extentDone = 0
    private var global = PaxRecords()

    /// A part of a file's content.
    struct Piece {
        /// Where it belongs in the file.
        let offset: Int
        /// They stay where they are until the reader is asked for anything else.
        let bytes: UnsafeRawBufferPointer
    }

    /// Reads from `source`; errors call the archive `name`.
    init(_ source: any ByteSource, named name: String) {
        self.source = InputBuffer(source)
        self.name = name
    }

    /// The next entry; nil at the archive's end mark.
    /// - Throws: `EBADMSG` where the archive ends without one, or makes no sense.
    func next() throws(KernelError) -> TarEntry? {
        try skip(contentLeft + padding)
        (contentLeft, padding) = (0, 0)
        extents = []
        extentsDone = 0
        var records = global
        while true {
            let header = TarHeader(block: try readBytes(TarHeader.size), archive: name)
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

    /// The next part of the current entry's content; nil at its end. Holes are not told of.
    func nextPiece() throws(KernelError) -> Piece? {
        while extentsDone < extents.count && extents[extentsDone].length == extentDone {
            extentsDone += 1
            extentDone = 0
        }
        guard extentsDone < extents.count else { return nil }
        let extent = extents[extentsDone]
        let bytes = try source.next(atMost: extent.length - extentDone)
        if bytes.isEmpty { throw endsTooEarly }
        defer { extentDone += bytes.count }
        contentLeft -= bytes.count
        return Piece(offset: extent.offset + extentDone, bytes: bytes)
    }

    private func entry(_ header: TarHeader, _ records: PaxRecords) throws(KernelError) -> TarEntry {
        let path = records.sparse?.name ?? records.path ?? header.path
        let kind = try kind(header, records, path)
        if !records.unreadableLists.isEmpty {
            throw corrupt(
                name,
                "The access control list of \(path.shown) makes no sense here: it may name "
                    + "users without their numbers. Make it again with --xattrs.")
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
        case UInt8(ascii: "0"), 0, UInt8(ascii: "7"), UInt8(ascii: "S"):
            // Before there was a type for directories, a slash at the end said it.
            if path.last == UInt8(ascii: "/") { return .directory }
            return .regular(size: try startContent(header, records))
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

    // Content and its holes

    /// - Returns: how large the file is to be.
    private func startContent(
        _ header: TarHeader, _ records: PaxRecords
    ) throws(KernelError) -> Int {
        let stored = try contentSize(try header.size(), unless: records.size)
        (contentLeft, padding) = (stored, TarReader.padding(after: stored))
        var map = SparseMap([SparseMap.Extent(offset: 0, length: stored)], size: stored)
        if header.type == UInt8(ascii: "S") {
            map = SparseMap(try oldMap(header), size: try contentSize(try header.sparseSize()))
        } else if let sparse = records.sparse {
            let numbers = sparse.isMapInContent ? try mapInContent() : sparse.numbers
            map = SparseMap(numbers: numbers, size: try contentSize(sparse.size ?? stored))
        }
        guard let map, map.storedSize == contentLeft else {
            throw corrupt(name, "The map of a sparse file makes no sense.")
        }
        extents = map.extents
        (extentsDone, extentDone) = (0, 0)
        return map.size
    }

    /// GNU tar's first form: four parts in the header, and blocks of more behind it.
    private func oldMap(_ header: TarHeader) throws(KernelError) -> [SparseMap.Extent] {
        var (extents, isContinued) = try header.sparseParts(from: 386, count: 4)
        while isContinued {
            let block = TarHeader(block: try readBytes(TarHeader.size), archive: name)
            let more = try block.sparseParts(from: 0, count: 21)
            extents += more.parts
            isContinued = more.isContinued
            // A block without parts would let the map go on for ever.
            guard extents.count <= SparseMap.extentLimit, !more.parts.isEmpty else {
                throw corrupt(name, "The map of a sparse file makes no sense.")
            }
        }
        return extents
    }

    /// Format 1.0: a count and as many numbers by twos, a line each, filled up to whole blocks.
    private func mapInContent() throws(KernelError) -> [Int] {
        var numbers: [Int] = []
        var wanted = 1
        var digits: [UInt8] = []
        while numbers.count < wanted {
            guard contentLeft >= TarHeader.size else { return [] }
            contentLeft -= TarHeader.size
            for byte in try readBytes(TarHeader.size) where numbers.count < wanted {
                guard byte == UInt8(ascii: "\n") else {
                    digits.append(byte)
                    continue
                }
                guard let number = decimal(digits[...]) else {
                    throw corrupt(name, "The map of a sparse file makes no sense.")
                }
                digits = []
                if numbers.isEmpty { wanted += 2 * min(number, SparseMap.extentLimit + 1) }
                numbers.append(number)
            }
            guard digits.count < 32, wanted <= 2 * SparseMap.extentLimit + 1 else {
                throw corrupt(name, "The map of a sparse file makes no sense.")
            }
        }
        return Array(numbers.dropFirst())
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

    private func readBytes(_ count: Int) throws(KernelError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            let piece = try source.next(atMost: count - bytes.count)
            if piece.isEmpty { throw endsTooEarly }
            bytes += piece
        }
        return bytes
    }

    private func skip(_ count: Int) throws(KernelError) {
        var left = count
        while left > 0 {
            let piece = try source.next(atMost: left)
            if piece.isEmpty { throw endsTooEarly }
            left -= piece.count
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
