/// What is left of many times: in milliseconds.
struct Statistics: Encodable {
    let median: Double
    let minimum: Double
    /// Nine runs of ten took no longer.
    let ninetieth: Double

    /// nil where there is nothing to count.
    init?(nanoseconds: [Double]) {
        guard !nanoseconds.isEmpty else { return nil }
        let sorted = nanoseconds.sorted().map { $0 / 1_000_000 }
        let middle = sorted.count / 2
        median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        minimum = sorted[0]
        // The nearest rank: the smallest that at least nine tenths do not exceed.
        ninetieth = sorted[(sorted.count * 9 + 9) / 10 - 1]
    }
}

/// `value` with two digits after the point.
func twoDigits(_ value: Double) -> String {
    let hundredths = Int((value.magnitude * 100).rounded())
    let fraction = hundredths % 100
    let sign = value < 0 && hundredths > 0 ? "-" : ""
    return "\(sign)\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
}
