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
        let day = seconds.quotientRoundedDown(by: 86_400)
        let second = seconds - day * 86_400
        let (year, month, dayOfMonth) = Calendar.date(ofDay: day)
        let date = pad(year, 4) + "-" + pad(month) + "-" + pad(dayOfMonth)
        let time = pad(second / 3600) + ":" + pad(second / 60 % 60) + ":" + pad(second % 60)
        return date + "T" + time + fraction + "Z"
    }

    private var fraction: String {
        if nanoseconds == 0 { return "" }
        var digits = pad(nanoseconds, 9)
        while digits.hasSuffix("0") { digits.removeLast() }
        return "." + digits
    }

    private func pad(_ number: Int, _ width: Int = 2) -> String {
        var digits = String(number)
        while digits.utf8.count < width { digits = "0" + digits }
        return digits
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
        let midnight = Calendar.day(year, month, day) * 86_400
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

/// The Gregorian calendar, in days since the beginning of 1970.
///
/// `timegm(3)` and `gmtime_r(3)` do the same, but first they read the local time zone's file, in
/// each process anew, which every `hull run` would pay for.
private enum Calendar {
    /// Years are counted from March, so that the odd day comes last. 400 years always have
    /// the same number of days, and 153 days are always five months.
    private static let daysOf400Years = 146_097
    /// From March of the year 0 to the beginning of 1970.
    private static let epoch = 719_468

    static func day(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let marchYear = month <= 2 ? year - 1 : year
        let era = marchYear.quotientRoundedDown(by: 400)
        let yearOfEra = marchYear - era * 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * daysOf400Years + dayOfEra - epoch
    }

    static func date(ofDay day: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = day + epoch
        let era = shifted.quotientRoundedDown(by: daysOf400Years)
        let dayOfEra = shifted - era * daysOf400Years
        let leapDays = dayOfEra / 1460 - dayOfEra / 36_524 + dayOfEra / 146_096
        let yearOfEra = (dayOfEra - leapDays) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = (marchMonth + 2) % 12 + 1
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
    }
}

extension Int {
    fileprivate func quotientRoundedDown(by divisor: Int) -> Int {
        self >= 0 ? self / divisor : (self + 1) / divisor - 1
    }
}
