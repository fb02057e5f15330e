import Glibc

/// A moment, as images write it: `2026-01-31T12:00:00.5Z`. See RFC 3339.
public struct Timestamp: Equatable, Comparable, Sendable {
    /// Seconds since the beginning of 1970, in UTC.
    public let seconds: Int
    /// What is over, in billionths of a second.
    public let nanoseconds: Int

    /// A moment.
    public init(seconds: Int, nanoseconds: Int = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// This moment.
    public static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: time.tv_sec, nanoseconds: time.tv_nsec)
    }

    /// The earlier one first.
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

extension Timestamp: CustomStringConvertible {
    /// RFC 3339, in UTC, with as many decimals as are needed.
    public var description: String {
        var parts = tm()
        var seconds = time_t(seconds)
        gmtime_r(&seconds, &parts)
        let date = [pad(Int(parts.tm_year) + 1900, 4), pad(parts.tm_mon + 1), pad(parts.tm_mday)]
        let time = [pad(parts.tm_hour), pad(parts.tm_min), pad(parts.tm_sec)]
        return date.joined(separator: "-") + "T" + time.joined(separator: ":") + fraction + "Z"
    }

    private var fraction: String {
        if nanoseconds == 0 { return "" }
        var digits = pad(nanoseconds, 9)
        while digits.hasSuffix("0") { digits.removeLast() }
        return "." + digits
    }

    private func pad(_ number: some BinaryInteger, _ width: Int = 2) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

extension Timestamp {
    /// Reads the moment at a place in JSON, which may be absent.
    init?(_ json: JSONReader) throws(SpecificationError) {
        guard let text = try json.optionalString() else { return nil }
        guard let moment = Timestamp(text) else {
            throw json.error("'\(text)' is not a date and time as in 2026-01-31T12:00:00Z")
        }
        self = moment
    }

    /// Reads RFC 3339; nil for anything else.
    public init?(_ text: String) {
        var rest = Array(text.utf8)[...]
        guard let year = rest.number(4), rest.skip("-"), let month = rest.number(2, 1...12),
            rest.skip("-"), let day = rest.number(2, 1...31), rest.skip("T"),
            let hour = rest.number(2, 0...23), rest.skip(":"), let minute = rest.number(2, 0...59),
            rest.skip(":"), let second = rest.number(2, 0...60), let fraction = rest.fraction(),
            let offset = rest.zone(), rest.isEmpty
        else { return nil }
        var parts = tm()
        parts.tm_year = CInt(year - 1900)
        parts.tm_mon = CInt(month - 1)
        parts.tm_mday = CInt(day)
        let midnight = timegm(&parts)
        self.init(
            seconds: midnight + hour * 3600 + minute * 60 + second - offset, nanoseconds: fraction)
    }
}

extension ArraySlice<UInt8> {
    fileprivate mutating func skip(_ character: Unicode.Scalar) -> Bool {
        // RFC 3339 allows small letters for T and Z.
        guard let byte = first, byte == character.value || byte == character.value | 0x20 else {
            return false
        }
        removeFirst()
        return true
    }

    fileprivate mutating func number(_ digits: Int, _ range: ClosedRange<Int> = 0...9999) -> Int? {
        guard count >= digits else { return nil }
        var number = 0
        for byte in prefix(digits) {
            guard (48...57).contains(byte) else { return nil }
            number = number * 10 + Int(byte - 48)
        }
        removeFirst(digits)
        return range.contains(number) ? number : nil
    }

    fileprivate mutating func fraction() -> Int? {
        guard skip(".") else { return 0 }
        let digits = prefix { (48...57).contains($0) }
        guard !digits.isEmpty else { return nil }
        removeFirst(digits.count)
        var nanoseconds = 0
        for index in 0..<9 {
            let digit = index < digits.count ? Int(digits[digits.startIndex + index] - 48) : 0
            nanoseconds = nanoseconds * 10 + digit
        }
        return nanoseconds
    }

    /// Seconds east of Greenwich.
    fileprivate mutating func zone() -> Int? {
        if skip("Z") { return 0 }
        let isEast = skip("+")
        guard isEast || skip("-"), let hours = number(2, 0...23), skip(":"),
            let minutes = number(2, 0...59)
        else { return nil }
        return (isEast ? 1 : -1) * (hours * 3600 + minutes * 60)
    }
}
