import Kernel

/// Which parts of a sparse file an archive holds; between them are holes.
///
/// GNU tar has had four ways to write this down: one in the header and its continuations, and
/// three in pax records. See its manual, "Storing Sparse Files".
struct SparseMap: Equatable {
    /// A part of the file that is not a hole.
    struct Extent: Equatable {
        let offset: Int
        let length: Int
    }

    /// More than any file system's own list of a file is likely to be, in 4 MiB of memory.
    static let extentLimit = 1 << 18

    let extents: [Extent]
    /// How large the file is, holes and all.
    let size: Int

    /// How many bytes the archive holds.
    var storedSize: Int { extents.reduce(0) { $0 + $1.length } }

    /// - Returns: nil where the parts overlap, are out of order or lie outside the file.
    init?(_ extents: [Extent], size: Int) {
        var end = 0
        for extent in extents {
            guard extent.offset >= end, extent.length >= 0, extent.offset <= size,
                extent.length <= size - extent.offset
            else { return nil }
            end = extent.offset + extent.length
        }
        self.extents = extents
        self.size = size
    }

    /// From a list of offsets and lengths by turns.
    init?(numbers: [Int], size: Int) {
        guard numbers.count % 2 == 0 else { return nil }
        let extents = stride(from: 0, to: numbers.count, by: 2).map {
            Extent(offset: numbers[$0], length: numbers[$0 + 1])
        }
        self.init(extents, size: size)
    }
}
