import Kernel

/// Writes a tar archive: ustar, with pax records where a field is too small for its value.
///
/// The same entries always give the same bytes.
final class TarWriter {
    private let sink: any ByteSink

    /// Writes to `sink`.
    init(_ sink: any ByteSink) { self.sink = sink }

    /// Writes the head of an entry. After that of a regular file come its content by
    /// ``writeContent(_:)``, as much as its size says, and ``endContent(size:)``.
    func append(_ entry: TarEntry) throws(KernelError) {
        let records = PaxWriter.records(for: entry)
        if !records.isEmpty {
            let name = FileName("././@PaxHeader".utf8)
            let extra = TarEntry(
                path: name, kind: .regular(size: records.count), mode: 0o644, owner: 0, group: 0,
                modified: TarTime(seconds: 0))
            try write(header(extra, type: "x"))
            try write(records)
            try endContent(size: records.count)
        }
        try write(header(entry, type: entry.kind.typeflag))
    }

    /// Writes a piece of the content.
    func writeContent(_ bytes: UnsafeRawBufferPointer) throws(KernelError) {
        try sink.write(bytes)
    }

    /// Fills up the last block of a content of `size` bytes.
    func endContent(size: Int) throws(KernelError) {
        let rest = size % TarHeader.size
        if rest > 0 { try write([UInt8](repeating: 0, count: TarHeader.size - rest)) }
    }

    /// Writes the end mark: two blocks of zeros.
    func finish() throws(KernelError) { try write([UInt8](repeating: 0, count: 1024)) }

    private func write(_ bytes: [UInt8]) throws(KernelError) {
        try bytes.withUnsafeBufferPointer { buffer throws(KernelError) in
            try sink.write(UnsafeRawBufferPointer(buffer))
        }
    }

    func header(_ entry: TarEntry, type: Unicode.Scalar) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: TarHeader.size)
        func put(_ bytes: some Sequence<UInt8>, at start: Int, limit: Int) {
            for (index, byte) in bytes.prefix(limit).enumerated() { block[start + index] = byte }
        }
        func put(octal number: Int, at start: Int, digits: Int) {
            let fits = number >= 0 && number < 1 << (3 * digits)
            let text = String(fits ? number : 0, radix: 8)
            let zeros = String(repeating: "0", count: digits - text.utf8.count)
            put((zeros + text).utf8, at: start, limit: digits)
        }
        put(entry.path, at: 0, limit: 100)
        put(octal: Int(entry.mode), at: 100, digits: 7)
        put(octal: Int(entry.owner), at: 108, digits: 7)
        put(octal: Int(entry.group), at: 116, digits: 7)
        put(octal: entry.kind.size, at: 124, digits: 11)
        put(octal: entry.modified.seconds, at: 136, digits: 11)
        block[156] = UInt8(ascii: type)
        put(entry.kind.linkTarget, at: 157, limit: 100)
        put("ustar\u{0}00".utf8, at: 257, limit: 8)
        put(octal: Int(entry.kind.device.major), at: 329, digits: 7)
        put(octal: Int(entry.kind.device.minor), at: 337, digits: 7)
        // The sum is taken with spaces in its own place.
        put(repeatElement(32, count: 8), at: 148, limit: 8)
        put(octal: block.reduce(0) { $0 + Int($1) }, at: 148, digits: 6)
        block[154] = 0
        return block
    }
}

/// Builds the pax records that an entry needs.
private enum PaxWriter {
    static func records(for entry: TarEntry) -> [UInt8] {
        var bytes: [UInt8] = []
        func add(_ name: String, _ value: [UInt8]) { bytes += record(Array(name.utf8), value) }
        func add(_ name: String, _ number: Int, over limit: Int) {
            if number >= limit { add(name, Array(String(number).utf8)) }
        }
        if entry.path.count > 100 { add("path", entry.path) }
        if entry.kind.linkTarget.count > 100 { add("linkpath", entry.kind.linkTarget) }
        add("size", entry.kind.size, over: 1 << 33)
        add("uid", Int(entry.owner), over: 1 << 21)
        add("gid", Int(entry.group), over: 1 << 21)
        let time = entry.modified
        if time.nanoseconds != 0 || !(0..<(1 << 33)).contains(time.seconds) {
            add("mtime", Array(text(time).utf8))
        }
        for attribute in entry.attributes {
            bytes += record(
                Array("SCHILY.xattr.".utf8) + escaped(attribute.name), attribute.value)
        }
        return bytes
    }

    /// A record's name ends at its `=`, so GNU tar writes that as `%3D`.
    private static func escaped(_ name: FileName) -> FileName {
        var bytes: FileName = []
        for byte in name {
            switch byte {
            case UInt8(ascii: "%"): bytes += "%25".utf8
            case UInt8(ascii: "="): bytes += "%3D".utf8
            default: bytes.append(byte)
            }
        }
        return bytes
    }

    /// `LENGTH NAME=VALUE\n`, where the length counts its own digits too.
    private static func record(_ name: [UInt8], _ value: [UInt8]) -> [UInt8] {
        let rest = name.count + value.count + 3
        var length = rest
        while rest + String(length).utf8.count != length {
            length = rest + String(length).utf8.count
        }
        return Array("\(length) ".utf8) + name + Array("=".utf8) + value + Array("\n".utf8)
    }

    private static func text(_ time: TarTime) -> String {
        // -1.25 s is kept as -2 s and 0.75 s.
        let isNegative = time.seconds < 0 && time.nanoseconds > 0
        let seconds = isNegative ? time.seconds + 1 : time.seconds
        let nanoseconds = isNegative ? 1_000_000_000 - time.nanoseconds : time.nanoseconds
        let sign = isNegative && seconds == 0 ? "-" : ""
        if nanoseconds == 0 { return sign + String(seconds) }
        let digits = String(nanoseconds)
        return sign + "\(seconds)." + String(repeating: "0", count: 9 - digits.utf8.count) + digits
    }
}

extension TarEntry.Kind {
    fileprivate var typeflag: Unicode.Scalar {
        switch self {
        case .regular: "0"
        case .hardLink: "1"
        case .symbolicLink: "2"
        case .characterDevice: "3"
        case .blockDevice: "4"
        case .directory: "5"
        case .fifo: "6"
        }
    }

    fileprivate var size: Int {
        if case .regular(let size) = self { size } else { 0 }
    }

    fileprivate var linkTarget: FileName {
        switch self {
        case .hardLink(let target), .symbolicLink(let target): target
        default: []
        }
    }

    fileprivate var device: (major: UInt32, minor: UInt32) {
        switch self {
        case .characterDevice(let major, let minor), .blockDevice(let major, let minor):
            (major, minor)
        default: (0, 0)
        }
    }
}
