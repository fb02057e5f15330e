/// Numbers of bytes as people read them.
public enum ByteCount {
    /// Three digits and a unit, in powers of 1000 as Docker shows them: `4.21 MB`.
    public static func text(_ count: Int) -> String {
        var number = Double(count)
        var unit = 0
        let units = ["B", "kB", "MB", "GB", "TB", "PB"]
        while number >= 999.5 && unit < units.count - 1 {
            number /= 1000
            unit += 1
        }
        if unit == 0 { return "\(count) B" }
        let decimals = number < 9.995 ? 100.0 : number < 99.95 ? 10.0 : 1.0
        let rounded = (number * decimals).rounded() / decimals
        return (decimals == 1 ? "\(Int(rounded))" : "\(rounded)") + " " + units[unit]
    }
}
