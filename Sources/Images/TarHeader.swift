import Glibc
import Kernel

/// The 512 bytes that stand before each file in a tar archive. See `tar(5)` and POSIX `pax`.
struct TarHeader {
    static let size = 512

    let block: [UInt8]
    /// For errors: what is being read.
    let archive: String

    var isZero: Bool { block.allSatisfy { $0 == 0 } }
    var type: UInt8 { block[156] }

    /// The name, with ustar's prefix before it.
    var path: FileName {
        let name = text(0, 100)
        // GNU tar's magic is "ustar  "; it keeps other things where the prefix would be.
        let isPOSIX = block[257..<263].elementsEqual("ustar\0".utf8)
        let prefix = isPOSIX ? text(345, 155) : []
        return prefix.isEmpty ? name : prefix + [UInt8(ascii: "/")] + name
    }
    var linkTarget: FileName { text(157, 100) }

    /// The bytes of a field up to the first NUL.
    private func text(_ start: Int, _ count: Int) -> FileName {
        Array(block[start..<(start + count)].prefix { $0 != 0 })
    }

    func mode() throws(KernelError) -> Int { try number(100, 8, "mode") }
    func owner() throws(KernelError) -> Int { try number(108, 8, "owner") }
    func group() throws(KernelError) -> Int { try number(116, 8, "group") }
    func size() throws(KernelError) -> Int { try number(124, 12, "size") }
    func modified() throws(KernelError) -> Int { try number(136, 12, "time") }
    func major() throws(KernelError) -> Int { try number(329, 8, "device number") }
    func minor() throws(KernelError) -> Int { try number(337, 8, "device number") }

    /// How large a sparse file of GNU tar's first form is, holes and all.
    func sparseSize() throws(KernelError) -> Int { try number(483, 12, "size") }

    /// Offsets and lengths of such a file's parts, and whether another block of them follows.
    func sparseParts(
        from start: Int, count: Int
    ) throws(KernelError) -> (parts: [SparseMap.Extent], isContinued: Bool) {
        var parts: [SparseMap.Extent] = []
        for position in stride(from: start, to: start + 24 * count, by: 24)
        where block[position + 12] != 0 {
            parts.append(
                SparseMap.Extent(
                    offset: try number(position, 12, "offset"),
                    length: try number(position + 12, 12, "size")))
        }
        // In a header the flag stands behind four parts, in a block of parts behind 21.
        return (parts, block[start + 24 * count] != 0)
    }

    /// The sum of all bytes, those of the sum itself counted as spaces.
    func verifyChecksum() throws(KernelError) {
        let stored = octal(block[148..<156])
        let others = block[..<148] + block[156...]
        let unsigned = others.reduce(8 * 32) { $0 + Int($1) }
        // Some early programs summed up signed bytes.
        let signed = others.reduce(8 * 32) { $0 + Int(Int8(bitPattern: $1)) }
        guard stored == unsigned || stored == signed else {
            throw corrupt(archive, "It is not a tar archive, or it is damaged: a bad check sum.")
        }
    }

    /// Octal digits, or, where they would not fit, a binary number with its top bit set.
    private func number(_ start: Int, _ count: Int, _ field: String) throws(KernelError) -> Int {
        let bytes = block[start..<(start + count)]
        let number = bytes[start] & 0x80 == 0 ? octal(bytes) : binary(bytes)
        guard let number else { throw corrupt(archive, "An entry has an absurd \(field).") }
        return number
    }

    private func octal(_ bytes: ArraySlice<UInt8>) -> Int? {
        let digits = bytes.drop { $0 == 0 || $0 == 32 }.prefix { $0 != 0 && $0 != 32 }
        var number = 0
        for digit in digits {
            guard (48...55).contains(digit) else { return nil }
            number = number << 3 | Int(digit - 48)
        }
        return number
    }

    /// GNU's way: big-endian, two's complement, the top bit of the first byte only a mark.
    private func binary(_ bytes: ArraySlice<UInt8>) -> Int? {
        let isNegative = bytes[bytes.startIndex] & 0x40 != 0
        var number = isNegative ? -1 : 0
        for (index, byte) in bytes.enumerated() {
            let (shifted, overflow) = number.multipliedReportingOverflow(by: 256)
            if overflow { return nil }
            let value = index == 0 ? (isNegative ? byte | 0x80 : byte & 0x7F) : byte
            number = shifted | Int(value)
        }
        return number
    }
}
