import Glibc
import Kernel
import OCISpec

/// An image archive that is read once, from its start to its end, as it comes out of a pipe.
///
/// All its files are put aside: which of them count is known when `manifest.json` or `index.json`
/// has come, and that may be last. Memory is bounded whatever the sizes.
final class StreamedArchive: ArchiveFiles {
    /// More files than any real archive has, and few enough to name in memory.
    private static let memberLimit = 20_000
    private static let linkLimit = 40

    fileprivate enum Member {
        case file(StagedFile)
        /// Docker's archives of old name a layer that two images share once more by a link.
        case link(to: String, from: String)
    }

    let name: String
    private let area: StagingArea
    private var members: [String: Member] = [:]

    /// Reads all of `source`, an archive, compressed or not.
    ///
    /// - Parameter limits: how large it may become; nil for what the environment says.
    init(
        _ source: some ByteSource, named name: String, into area: StagingArea,
        limits: UnpackLimits?
    ) throws(KernelError) {
        self.name = name
        self.area = area
        let plain = try unpacked(source, named: name, limits: limits)
        let reader = TarReader(plain, named: name)
        while let entry = try reader.next() { try take(entry, reader) }
        try readPadding(plain)
    }

    func find(_ path: String) throws(KernelError) -> StagedFile? {
        var wanted = archivePath(path)
        for _ in 0..<StreamedArchive.linkLimit {
            guard let known = wanted else { throw leadsOut(path) }
            switch members[known] {
            case nil: return nil
            case .file(let file): return file
            case .link(let target, let directory): wanted = archivePath(target, from: directory)
            }
        }
        throw corrupt(name, "\(shown(path)) is a link that leads to itself.")
    }

    /// A name that leads out of the archive is not refused: nothing is ever written under it, and
    /// nothing can ask for it.
    private func take(_ entry: TarEntry, _ reader: TarReader) throws(KernelError) {
        let text = String(decoding: entry.path, as: UTF8.self)
        guard let path = archivePath(text), FileName(text.utf8) == entry.path else { return }
        switch entry.kind {
        case .regular:
            let content = TarContentSource(reader, of: name)
            try add(path, .file(try area.add(content, algorithm(of: path))))
        case .symbolicLink(let target):
            let directory = path.split(separator: "/").dropLast().joined(separator: "/")
            let target = String(decoding: target, as: UTF8.self)
            try add(path, .link(to: target, from: directory))
        case .hardLink(let target):
            try add(path, .link(to: String(decoding: target, as: UTF8.self), from: ""))
        default: break
        }
    }

    private func add(_ path: String, _ member: Member) throws(KernelError) {
        guard members.count < StreamedArchive.memberLimit else {
            throw KernelError(
                "read", name, Errno(rawValue: EFBIG),
                remedy: "It has more than \(StreamedArchive.memberLimit) files; "
                    + "an image archive has a few for each layer.")
        }
        // Whoever has two files of one name shows one of them to a check, and the other to us.
        if let other = members[path], !other.isSame(as: member) {
            throw corrupt(name, "It has two different files called \(shown(path)).")
        }
        members[path] = member
    }

    /// By which hash a layout calls the blob; any will do for other files.
    private func algorithm(of path: String) -> Digest.Algorithm {
        path.hasPrefix("blobs/sha512/") ? .sha512 : .sha256
    }

    /// Tapes have blocks of 20 records, and who wrote one to a pipe should not find it closed.
    /// What comes after a whole block is somebody's mistake, and could be endless.
    private func readPadding(_ source: any ByteSource) throws(KernelError) {
        let buffer = WorkBuffer()
        let block = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<(20 * TarHeader.size)])
        var left = block.count
        while left > 0 {
            let count = try source.read(
                into: UnsafeMutableRawBufferPointer(rebasing: block[..<left]))
            if count == 0 { return }
            left -= count
        }
    }
}

extension StreamedArchive.Member {
    fileprivate func isSame(as other: Self) -> Bool {
        switch (self, other) {
        case (.file(let one), .file(let other)): one.digest == other.digest
        case (.link(let one, let here), .link(let other, let there)):
            one == other && here == there
        default: false
        }
    }
}

/// The content of the entry that a ``TarReader`` is at.
private final class TarContentSource: ByteSource {
    private let reader: TarReader
    private let name: String
    private var piece = UnsafeRawBufferPointer(start: nil, count: 0)
    private var done = 0

    init(_ reader: TarReader, of archive: String) {
        self.reader = reader
        name = archive
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(KernelError) -> Int {
        if piece.isEmpty {
            guard let next = try reader.nextPiece() else { return 0 }
            // Nobody writes blobs with holes; a file that claims to have some is made to mislead.
            guard next.offset == done else { throw corrupt(name, "It has a file with holes.") }
            piece = next.bytes
        }
        let count = min(piece.count, buffer.count)
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: piece[..<count]))
        piece = UnsafeRawBufferPointer(rebasing: piece[count...])
        done += count
        return count
    }
}
