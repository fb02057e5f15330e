/// Sizes as people write them: `64m`, `1.5g`. Units are powers of 1024, as Docker's are.
public enum ByteSize {
    private static let units: [(letter: Character, shift: Int, name: String)] = [
        ("t", 40, "TiB"), ("g", 30, "GiB"), ("m", 20, "MiB"), ("k", 10, "KiB"), ("b", 0, "B"),
    ]

    /// Reads a number with a unit; without one it counts bytes. nil where it is no such thing.
    public static func parse(_ text: String) -> Int? {
        var digits = text.lowercased()
        if digits.count > 1, digits.hasSuffix("ib") { digits.removeLast(2) }
        if digits.count > 1, digits.hasSuffix("b") { digits.removeLast() }
        var shift = 0
        if let unit = units.first(where: { $0.letter == digits.last }) {
            shift = unit.shift
            digits.removeLast()
        }
        // Double takes "nan", "0x1" and "1e3" as well.
        let isPlain = digits.utf8.allSatisfy { (48...57).contains($0) || $0 == 46 }
        guard isPlain, let number = Double(digits) else { return nil }
        let bytes = number * Double(1 << shift)
        return bytes < Double(1 << 62) ? Int(bytes) : nil
    }

    /// In the largest unit of which there is at least one, with one digit after the point.
    public static func text(_ bytes: Int) -> String {
        guard let unit = units.first(where: { bytes >= 1 << $0.shift }) else { return "0 B" }
        let tenths = (bytes * 10 + (1 << unit.shift) / 2) >> unit.shift
        let fraction = tenths % 10 == 0 ? "" : ".\(tenths % 10)"
        return "\(tenths / 10)\(fraction) \(unit.name)"
    }
}
